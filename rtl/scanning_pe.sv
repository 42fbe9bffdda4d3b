// Scanning PE: a scanner with its queue in front of L lanes.
module scanning_pe #(
    parameter int S = 16,
    parameter int D = 16,
    parameter int L = 1,
    parameter int W = 8,
    parameter int ACC = 32,
    localparam int E = $clog2(S + 1)
) (
    input  logic           clk,
    input  logic           rst_n,
    input  logic           clear,
    input  logic           working,
    input  logic [S-1:0]   a_mask,
    input  logic [S-1:0]   b_mask,
    input  logic [S*W-1:0] a,
    input  logic [S*W-1:0] b,
    input  logic           push,
    output logic           room,
    output logic           empty,
    output logic [E-1:0]   pushed,
    output logic [L-1:0]   valid,
    output logic [L*W-1:0] out_a,
    output logic [L*W-1:0] out_b,
    output logic [ACC-1:0] sum
);
    scan_queue #(.S(S), .D(D), .L(L), .W(W)) u_queue (
        .clk, .rst_n, .clear, .working, .a_mask, .b_mask, .a, .b, .push, .room, .empty, .pushed, .valid, .out_a, .out_b
    );
    mac_lanes #(.L(L), .W(W), .ACC(ACC)) u_lanes (.clk, .rst_n, .clear, .valid, .a(out_a), .b(out_b), .sum);
endmodule

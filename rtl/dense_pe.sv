// Dense PE: the L positions of a window go straight into the L lanes, zeros too.
module dense_pe #(
    parameter int L = 1,
    parameter int W = 8,
    parameter int ACC = 32
) (
    input  logic           clk,
    input  logic           rst_n,
    input  logic           clear,
    input  logic           working,
    input  logic [L-1:0]   positions,  // those that K has: the last window may hold fewer than L
    input  logic [L*W-1:0] a,
    input  logic [L*W-1:0] b,
    input  logic           push,
    output logic [L-1:0]   valid,
    output logic [ACC-1:0] sum
);
    assign valid = positions & {L{push && working}};
    mac_lanes #(.L(L), .W(W), .ACC(ACC)) u_lanes (.clk, .rst_n, .clear, .valid, .a, .b, .sum);
endmodule

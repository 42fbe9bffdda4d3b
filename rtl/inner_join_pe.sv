// Inner-join PE: the mask of the pairs that it has left, an encoder of the first ones, two multiplexers a lane, and L lanes. The
// operands are held outside, once for a row or column of its group.
module inner_join_pe #(
    parameter int S = 8,
    parameter int V = 2,
    parameter int L = 1,
    parameter int W = 8,
    parameter int ACC = 32,
    localparam int P = (V * S > 1) ? $clog2(V * S) : 1
) (
    input  logic             clk,
    input  logic             rst_n,
    input  logic             clear,
    input  logic             working,
    input  logic [S-1:0]     a_mask,
    input  logic [S-1:0]     b_mask,
    input  logic [V*S*W-1:0] a,
    input  logic [V*S*W-1:0] b,
    input  logic [V-1:0]     enter,
    input  logic [V*V-1:0]   older,
    output logic [V-1:0]     done,
    output logic [L-1:0]     valid,
    output logic [L*W-1:0]   out_a,
    output logic [L*W-1:0]   out_b,
    output logic [ACC-1:0]   sum
);
    logic [L*P-1:0] place;

    window_join #(.S(S), .V(V), .L(L)) u_join (
        .clk, .rst_n, .working, .a_mask, .b_mask, .enter, .older, .valid, .place, .done
    );
    operand_pick #(.S(S), .V(V), .L(L), .W(W)) u_a (.place, .held(a), .picked(out_a));
    operand_pick #(.S(S), .V(V), .L(L), .W(W)) u_b (.place, .held(b), .picked(out_b));
    mac_lanes #(.L(L), .W(W), .ACC(ACC)) u_lanes (.clk, .rst_n, .clear, .valid, .a(out_a), .b(out_b), .sum);
endmodule

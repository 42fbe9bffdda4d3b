// TensorDash PE: two multiplexers a lane, driven by the schedule of its row or of its column, and 16 lanes. The operands are
// staged outside.
module tensordash_pe #(
    parameter int V = 3,
    parameter int W = 8,
    parameter int ACC = 32
) (
    input  logic              clk,
    input  logic              rst_n,
    input  logic              clear,
    input  logic              working,
    input  logic              schedule_b,  // its column's schedule is followed, else its row's
    input  logic [15:0]       row_takes,
    input  logic [47:0]       row_choice,
    input  logic [15:0]       col_takes,
    input  logic [47:0]       col_choice,
    input  logic [V*16*W-1:0] a,
    input  logic [V*16*W-1:0] b,
    output logic [15:0]       valid,
    output logic [16*W-1:0]   out_a,
    output logic [16*W-1:0]   out_b,
    output logic [ACC-1:0]    sum
);
    logic [47:0] choice;

    assign valid = (schedule_b ? col_takes : row_takes) & {16{working}};
    assign choice = schedule_b ? col_choice : row_choice;
    lane_pick #(.V(V), .W(W)) u_a (.choice, .staged(a), .picked(out_a));
    lane_pick #(.V(V), .W(W)) u_b (.choice, .staged(b), .picked(out_b));
    mac_lanes #(.L(16), .W(W), .ACC(ACC)) u_lanes (.clk, .rst_n, .clear, .valid, .a(out_a), .b(out_b), .sum);
endmodule

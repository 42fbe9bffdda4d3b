// Scanner and queue of one PE, with the crossbar that puts the pairs of a window at their places: up to L pairs leave from
// the front in the same cycle, pairs that have just come in included.
module scan_queue #(
    parameter int S = 16,  // positions of a window
    parameter int D = 16,  // pairs that the queue holds, at least S
    parameter int L = 1,   // pairs that leave in a cycle
    parameter int W = 8,   // bits of an operand
    localparam int N = $clog2(D + 1),
    localparam int E = $clog2(S + 1),
    localparam int T = $clog2(D + S + L + 1)
) (
    input  logic           clk,
    input  logic           rst_n,
    input  logic           clear,    // start of a tile: the queue is empty
    input  logic           working,  // this PE's output must be computed
    input  logic [S-1:0]   a_mask,
    input  logic [S-1:0]   b_mask,
    input  logic [S*W-1:0] a,
    input  logic [S*W-1:0] b,
    input  logic           push,     // the whole group has room: the window's pairs come in
    output logic           room,     // q + e <= D
    output logic           empty,    // q = 0, before this cycle's push
    output logic [E-1:0]   pushed,   // pairs that come in this cycle
    output logic [L-1:0]   valid,    // pairs that leave this cycle, from lane 0 on
    output logic [L*W-1:0] out_a,
    output logic [L*W-1:0] out_b
);
    logic [S-1:0]     hit;
    logic [S*T-1:0]   place;
    logic [N-1:0]     held;
    logic [T-1:0]     take;
    logic [D*2*W-1:0] queue, merged;

    scanner #(.S(S), .D(D), .L(L)) u_scanner (
        .clk, .rst_n, .clear, .working, .a_mask, .b_mask, .push, .room, .empty, .pushed, .hit, .place, .held, .take
    );
    crossbar #(.S(S), .D(D), .L(L), .W(W)) u_crossbar (.hit, .place, .a, .b, .held, .queue, .merged);
    pair_queue #(.S(S), .D(D), .L(L), .W(W)) u_queue (.clk, .merged, .take, .queue, .valid, .out_a, .out_b);
endmodule

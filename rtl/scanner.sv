// Scanner of one PE: the masks of a window are ANDed, and a prefix count gives each set position its place after what the
// queue holds. It keeps count of the queue.
module scanner #(
    parameter int S = 16,  // positions of a window
    parameter int D = 16,  // pairs that the queue holds, at least S
    parameter int L = 1,   // pairs that leave in a cycle
    localparam int N = $clog2(D + 1),
    localparam int E = $clog2(S + 1),
    localparam int T = $clog2(D + S + L + 1)  // bits that count what is held and what is offered together, or L
) (
    input  logic           clk,
    input  logic           rst_n,
    input  logic           clear,    // start of a tile: the queue is empty
    input  logic           working,  // this PE's output must be computed
    input  logic [S-1:0]   a_mask,
    input  logic [S-1:0]   b_mask,
    input  logic           push,     // the whole group has room: the window's pairs come in
    output logic           room,     // q + e <= D
    output logic           empty,    // q = 0, before this cycle's push
    output logic [E-1:0]   pushed,   // pairs that come in this cycle
    output logic [S-1:0]   hit,
    output logic [S*T-1:0] place,    // of each position's pair
    output logic [N-1:0]   held,     // pairs in the queue
    output logic [T-1:0]   take      // pairs that leave this cycle
);
    logic [T-1:0] total, present;
    logic [E-1:0] offered;
    logic [N-1:0] kept;

    assign hit = a_mask & b_mask & {S{working}};

    always_comb begin
        total = T'(held);
        offered = '0;
        place = '0;
        for (int j = 0; j < S; j++) begin
            place[j*T+:T] = total;
            total = total + T'(hit[j]);
            offered = offered + E'(hit[j]);
        end
    end

    assign room = total <= T'(D);
    assign empty = held == '0;
    assign pushed = push ? offered : '0;
    assign present = push ? total : T'(held);
    assign take = (present < T'(L)) ? present : T'(L);
    assign kept = N'(present - take);

    always_ff @(posedge clk) begin
        if (!rst_n || clear) held <= '0;
        else held <= kept;
    end
endmodule

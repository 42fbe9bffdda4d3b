// Scanner and queue of one PE. The masks of a window are ANDed; a prefix count gives each set position its place behind
// what the queue holds; up to L pairs leave from the front in the same cycle, pairs that have just come in included.
module scan_queue #(
    parameter int S = 16,  // positions of a window
    parameter int D = 16,  // pairs that the queue holds, at least S
    parameter int L = 1,   // pairs that leave in a cycle
    parameter int W = 8,   // bits of an operand
    localparam int N = $clog2(D + 1),
    localparam int E = $clog2(S + 1)
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
    localparam int T = $clog2(D + S + L + 1);  // bits that count what is held and what is offered together, or L
    localparam int P = 2 * W;  // bits of a pair

    logic [N-1:0]       held, kept;
    logic [T-1:0]       total, present, take;
    logic [S-1:0]       hit;
    logic [S*T-1:0]     place;
    logic [E-1:0]       offered;
    logic [D*P-1:0]     queue, next;
    logic [(D+L)*P-1:0] merged;

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

    // What the queue would hold if nothing left: a crossbar from S positions to D places, behind those that are taken.
    always_comb begin
        merged = '0;
        for (int i = 0; i < D; i++) begin
            if (T'(i) < T'(held)) begin
                merged[i*P+:P] = queue[i*P+:P];
            end else begin
                for (int j = 0; j < S; j++) begin
                    merged[i*P+:P] = merged[i*P+:P]
                        | ({a[j*W+:W], b[j*W+:W]} & {P{hit[j] && place[j*T+:T] == T'(i)}});
                end
            end
        end
    end

    for (genvar l = 0; l < L; l++) begin : g_lane
        assign valid[l] = take > T'(l);
        assign {out_a[l*W+:W], out_b[l*W+:W]} = merged[l*P+:P];
    end

    always_comb begin
        next = merged[D*P-1:0];
        for (int t = 1; t <= L; t++) begin
            if (take == T'(t)) next = merged[t*P+:D*P];
        end
    end

    assign kept = N'(present - take);

    always_ff @(posedge clk) begin
        if (!rst_n || clear) held <= '0;
        else held <= kept;
    end

    always_ff @(posedge clk) queue <= next;
endmodule

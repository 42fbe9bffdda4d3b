// The windows that one group of inner-join PEs holds, in a ring of V places: the next one enters at a clock edge if one place is
// free or becomes free with it. The first one enters with `clear`, so that it is there in the tile's first cycle.
module join_group #(
    parameter int MEMBERS = 1,
    parameter int V = 2,
    parameter int WINDOWS = 64,
    localparam int N = $clog2(WINDOWS + 1),
    localparam int I = $clog2(WINDOWS)
) (
    input  logic                 clk,
    input  logic                 rst_n,
    input  logic                 clear,
    input  logic                 running,
    input  logic [N-1:0]         windows,  // windows of the tile
    input  logic                 has,      // the ports have the window
    input  logic [MEMBERS*V-1:0] done,     // of each PE: it has no pair of the window at this place left after this cycle
    output logic [N-1:0]         pointer,  // the window that enters next
    output logic [I-1:0]         window,   // its place in the store
    output logic [V-1:0]         enter,    // the place at which it enters with this clock edge; zero: it does not
    output logic [V*V-1:0]       older,    // bit s * V + t: the window at place t came before that at place s
    output logic                 entered,  // a window is in its first cycle
    output logic                 waits,    // for the ports
    output logic                 ended     // no window left or held
);
    logic [N-1:0]   next;         // the window that enters next, but for the first one
    logic [V-1:0]   head, tail;   // places of the oldest window and of the next one, one bit each
    logic [V-1:0]   held, kept;   // how many windows are held in this cycle and after it, as that many ones
    logic [V-1:0]   all_done, moved, at;
    logic           leaves, room, go;

    for (genvar s = 0; s < V; s++) begin : g_place
        logic [MEMBERS-1:0] of_member;
        for (genvar m = 0; m < MEMBERS; m++) begin : g_member
            assign of_member[m] = done[m*V+s];
        end
        assign all_done[s] = &of_member;
        for (genvar t = 0; t < V; t++) begin : g_other
            logic [V-1:0] heads;  // places of the oldest window that make t older than s
            for (genvar h = 0; h < V; h++) begin : g_head
                assign heads[h] = (t + V - h) % V < (s + V - h) % V;
            end
            assign older[s*V+t] = |(head & heads);
        end
    end

    always_comb begin
        kept = held;
        moved = head;
        leaves = 1'b1;
        for (int n = 0; n < V; n++) begin  // the n-th oldest window, if all before it leave
            leaves = leaves && held[n] && |(moved & all_done);
            if (leaves) begin
                kept = kept >> 1;
                moved = turned(moved);
            end
        end
    end

    assign at = clear ? V'(1) : tail;
    assign pointer = clear ? '0 : next;
    assign window = pointer[I-1:0];
    assign room = !held[V-1] || |(head & all_done);  // not full, or the oldest window leaves: the longest path
    assign go = (clear || (running && room)) && has && pointer != windows;
    assign waits = !has && pointer != windows;
    assign enter = go ? at : '0;
    assign ended = next == windows && !held[0];

    always_ff @(posedge clk) begin
        if (!rst_n) begin
            next <= '0;
            head <= V'(1);
            tail <= V'(1);
            held <= '0;
            entered <= 1'b0;
        end else begin
            next <= pointer + {{(N - 1) {1'b0}}, go};
            head <= clear ? V'(1) : moved;
            tail <= go ? turned(at) : at;
            held <= go ? V'({kept, 1'b1}) : kept;
            entered <= go;
        end
    end

    // The next place of the ring.
    function automatic logic [V-1:0] turned(input logic [V-1:0] place);
        for (int n = 0; n < V; n++) turned[n] = place[(n + V - 1) % V];
    endfunction
endmodule

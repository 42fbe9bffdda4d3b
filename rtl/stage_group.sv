// Staged windows of TensorDash's schedules that move on together, up to V: how many of those in front leave with this clock
// edge, and how many enter behind the others. The first ones enter with `clear`, so that they are there in a tile's first cycle.
// Counts are unary: bit n of one says "more than n".
module stage_group #(
    parameter int MEMBERS = 1,  // schedules
    parameter int V = 3,
    parameter int WINDOWS = 64,
    localparam int N = $clog2(WINDOWS + 1)
) (
    input  logic                 clk,
    input  logic                 rst_n,
    input  logic                 clear,
    input  logic                 running,
    input  logic [N-1:0]         windows, // windows of the tile
    input  logic [MEMBERS*V-1:0] empty,   // of each schedule: the staged windows up to this place are empty after this cycle
    input  logic [V-1:0]         has,     // the ports have the next window, the one after it, ...
    output logic [N-1:0]         pointer, // the next window
    output logic [V-1:0]         staged,  // windows that are staged
    output logic [V-1:0]         leave,   // windows that leave
    output logic [V-1:0]         enter,   // windows that enter ...
    output logic [V*V-1:0]       put,     // ... bit i * V + j: the j-th of them at place i
    output logic [V-1:0]         entered, // windows that are in their first cycle
    output logic                 waits,   // there is room for a window that the ports do not have
    output logic                 ended    // no window left or staged
);
    logic [N-1:0] next, count;  // the next window; `count`: how many enter
    logic [V-1:0] kept, comes, filled;
    logic         going;

    assign pointer = clear ? '0 : next;
    always_comb begin
        leave = staged;
        for (int m = 0; m < MEMBERS; m++) leave = leave & empty[m*V+:V];
    end
    assign waits = running && next != windows && !staged[V-1];
    assign ended = next == windows && !staged[0];

    always_comb begin  // what stays moves to the front
        kept = clear ? '0 : staged;
        for (int n = 0; n < V; n++)
            if (leave[n] && !clear) kept = kept >> 1;
    end

    always_comb begin
        going = clear || running;
        for (int j = 0; j < V; j++) begin
            going = going && has[j] && windows - pointer > N'(j);
            comes[j] = going;
        end
        filled = kept;
        put = '0;
        enter = '0;
        count = '0;
        for (int j = 0; j < V; j++) begin
            for (int i = j; i < V; i++) begin  // at the first place behind those that stay
                put[i*V+j] = comes[j] && !kept[i-j] && ((i == j) || kept[(i>j)?i-j-1:0]);
                filled[i] = filled[i] || put[i*V+j];
                enter[j] = enter[j] || put[i*V+j];
            end
            count = count + N'(enter[j]);
        end
    end

    always_ff @(posedge clk) begin
        if (!rst_n) begin
            next <= '0;
            staged <= '0;
            entered <= '0;
        end else begin
            next <= pointer + count;
            staged <= filled;
            entered <= enter;
        end
    end
endmodule

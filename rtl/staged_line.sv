// One row of A or column of B of TensorDash's array: its stored windows, its share of the port, the staging registers of each
// group that reads it, and its schedule, which follows the first of these groups.
module staged_line #(
    parameter int READERS = 1,
    parameter int V = 3,
    parameter int W = 8,
    parameter int WINDOWS = 64,
    localparam int S = 16,
    localparam int N = $clog2(WINDOWS + 1),
    localparam int I = $clog2(WINDOWS)
) (
    input  logic                     clk,
    input  logic                     rst_n,
    input  logic                     clear,
    input  logic                     running,
    input  logic                     used,       // the tile has this line
    input  logic                     scheduled,  // and schedules it
    // the store
    input  logic                     write,
    input  logic [I-1:0]             at,
    input  logic [S-1:0]             mask,
    input  logic [S*W-1:0]           values,
    // the port
    input  logic [N-1:0]             windows,
    input  logic [31:0]              last_size,
    input  logic [31:0]              lines,
    input  logic [31:0]              words,
    input  logic [N-1:0]             ahead,
    output logic [READERS*V-1:0]     has,
    output logic [31:0]              reads,
    // the groups that read it
    input  logic [READERS-1:0]       reading,
    input  logic [READERS*N-1:0]     pointers,
    input  logic [READERS*V-1:0]     leave,
    input  logic [READERS*V-1:0]     enter,
    input  logic [READERS*V*V-1:0]   put,
    output logic [READERS*V*S*W-1:0] staged,
    // the schedule
    output logic [15:0]              takes,
    output logic [47:0]              choice,
    output logic [V-1:0]             empty
);
    logic [READERS*V-1:0]     granted;
    logic [READERS*V*I-1:0]   places;
    logic [READERS*V*S-1:0]   masks;
    logic [READERS*V*S*W-1:0] read;
    logic [31:0]              of_port;

    line_port #(.S(S), .READERS(READERS), .TAKES(V), .WINDOWS(WINDOWS)) u_port (
        .clk, .first(clear), .running(clear || running), .windows, .last_size, .lines, .words, .ahead, .reading, .pointers,
        .has(granted), .taken(enter), .reads(of_port)
    );
    assign has = granted | {(READERS * V) {!used}};
    assign reads = used ? of_port : '0;

    always_comb begin
        for (int n = 0; n < READERS; n++)
            for (int t = 0; t < V; t++) places[(n*V+t)*I+:I] = I'(pointers[n*N+:N] + N'(t));
    end
    window_line #(.S(S), .W(W), .WINDOWS(WINDOWS), .READERS(READERS * V)) u_line (
        .clk, .write, .at, .mask, .values, .pointers(places), .read_mask(masks), .read_values(read)
    );
    for (genvar n = 0; n < READERS; n++) begin : g_reader
        staged_windows #(.V(V), .W(W)) u_staged (
            .clk, .leave(leave[n*V+:V]), .put(put[n*V*V+:V*V]), .values(read[n*V*S*W+:V*S*W]), .staged(staged[n*V*S*W+:V*S*W])
        );
    end
    schedule #(.V(V)) u_schedule (
        .clk, .rst_n, .leave(leave[V-1:0]), .put(put[V*V-1:0]), .masks(masks[V*S-1:0] & {(V * S) {scheduled}}), .valid(takes), .choice, .empty
    );
    if (READERS > 1) begin : g_others
        logic unused;
        assign unused = &{1'b0, masks[READERS*V*S-1:V*S]};
    end
endmodule

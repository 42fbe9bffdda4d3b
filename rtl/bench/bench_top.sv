// What the C++ bench drives: one array of the kind asked for, with counters.
module bench_top #(
    parameter int KIND = 1,  // 0 dense, 1 scanning, 2 systolic, 3 inner join, 4 TensorDash
    parameter int R = 2,
    parameter int C = 2,
    parameter int L = 1,
    parameter int S = 4,
    parameter int D = 4,
    parameter int V = 1,     // windows held by a group of inner-join PEs, or staged
    parameter int W = 8,
    parameter int ACC = 32,
    parameter int SYNC = 1,
    parameter int WINDOWS = 64
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic [R-1:0]       rows_used,
    input  logic [C-1:0]       cols_used,
    input  logic [R*C-1:0]     needed,
    input  logic               schedule_b,
    input  logic               show_a,
    input  logic               show_b,
    input  logic               drop_a,
    input  logic               drop_b,
    input  logic [31:0]        a_words,
    input  logic [31:0]        b_words,
    input  logic [31:0]        a_ahead,
    input  logic [31:0]        b_ahead,
    input  logic               overlapped,
    input  logic               load_first,
    input  logic               load,
    input  logic [S-1:0]       load_positions,
    input  logic [R*S-1:0]     load_a_mask,
    input  logic [C*S-1:0]     load_b_mask,
    input  logic [R*S*W-1:0]   load_a,
    input  logic [C*S*W-1:0]   load_b,
    input  logic               start,
    output logic               done,
    output logic [R*C*ACC-1:0] sums,
    output logic [12*40-1:0]   counts,
    output logic               leaving,
    output logic [C*ACC-1:0]   leaving_row
);
    localparam int E = $clog2(S + 1);
    localparam int N = $clog2(WINDOWS + 1);
    localparam int B = 40;

    logic             running, busy;
    logic [R*C-1:0]   located, working, ended, advanced, waits;
    logic [R*C*E-1:0] pushed;
    logic [R*C*L-1:0] valid, effectual;
    logic [31:0]      scans, a_reads, b_reads, a_read, b_read;

    for (genvar r = 0; r < R; r++) begin : g_row
        for (genvar c = 0; c < C; c++) begin : g_col
            assign located[r*C+c] = rows_used[r] && cols_used[c];
        end
    end
    assign working = located & needed;

    if (KIND == 2) begin : g_systolic
        logic unused, feed;
        assign unused = &{1'b0, a_words, b_words, a_ahead, b_ahead, overlapped, schedule_b, show_a, show_b, drop_a, drop_b, load_positions, load_a_mask, load_b_mask};
        assign ended = '0;
        assign advanced = '0;
        assign waits = '0;
        assign busy = running;
        assign leaving = 1'b0;
        assign leaving_row = '0;
        assign pushed = '0;
        assign scans = '0;
        always_comb begin
            a_reads = '0;
            b_reads = '0;
            for (int r = 0; r < R; r++) if (feed && rows_used[r]) a_reads = a_reads + 1;
            for (int c = 0; c < C; c++) if (feed && cols_used[c]) b_reads = b_reads + 1;
        end
        systolic_array #(.R(R), .C(C), .W(W), .ACC(ACC), .STEPS(WINDOWS)) u_array (
            .clk, .rst_n, .rows_used, .cols_used, .load_first, .load, .load_a, .load_b, .start, .done, .sums, .running,
            .valid, .effectual, .feed
        );
    end else if (KIND == 4) begin : g_tensordash
        logic unused;
        assign unused = &{1'b0, a_ahead[31:N], b_ahead[31:N]};
        assign pushed = '0;
        tensordash_array #(.R(R), .C(C), .V(V), .W(W), .ACC(ACC), .ALONE(SYNC == 3 ? 0 : 1), .WINDOWS(WINDOWS)) u_array (
            .clk, .rst_n, .rows_used, .cols_used, .needed, .schedule_b, .show_a, .show_b, .drop_a, .drop_b, .load_first, .load,
            .a_words, .b_words, .a_ahead(a_ahead[N-1:0]), .b_ahead(b_ahead[N-1:0]), .overlapped,
            .load_positions, .load_a_mask, .load_b_mask, .load_a, .load_b, .start, .done, .sums, .running, .busy, .waits,
            .leaving, .leaving_row, .ended, .advanced, .valid, .effectual, .scans, .a_reads, .b_reads
        );
    end else begin : g_tiles
        logic unused;
        assign unused = &{1'b0, schedule_b, a_ahead[31:N], b_ahead[31:N]};
        always_comb begin
            scans = '0;
            for (int p = 0; p < R * C; p++) if (KIND != 0 && located[p] && advanced[p]) scans = scans + 1;
        end
        tile_array #(
            .R(R), .C(C), .L(L), .S(S), .D(D), .W(W), .ACC(ACC), .SCANS(KIND == 0 ? 0 : 1), .V(KIND == 3 ? V : 0), .SYNC(SYNC),
            .WINDOWS(WINDOWS)
        ) u_array (
            .clk, .rst_n, .rows_used, .cols_used, .needed, .show_a, .show_b, .drop_a, .drop_b, .load_first, .load,
            .a_words, .b_words, .a_ahead(a_ahead[N-1:0]), .b_ahead(b_ahead[N-1:0]), .overlapped,
            .load_positions, .load_a_mask, .load_b_mask, .load_a, .load_b, .start, .done, .sums, .running, .busy, .waits,
            .leaving, .leaving_row, .ended, .advanced, .pushed, .valid, .effectual, .a_reads, .b_reads
        );
    end

    // Windows that are held or staged were read with the clock edge before their first cycle.
    if (KIND == 3 || KIND == 4) begin : g_read_before
        always_ff @(posedge clk) begin
            a_read <= a_reads;
            b_read <= b_reads;
        end
    end else begin : g_read_now
        assign a_read = a_reads;
        assign b_read = b_reads;
    end

    activity #(.PES(R * C), .L(L), .S(S), .SKEW(KIND == 2 ? 1 : 0)) u_activity (
        .clk, .clear(start), .busy, .drains(busy && !running), .working, .ended, .advanced, .waits, .pushed, .valid, .effectual,
        .scans(B'(scans)), .a_reads(B'(a_read)), .b_reads(B'(b_read)), .counts
    );
endmodule

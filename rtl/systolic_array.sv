// R x C systolic PEs, output-stationary: row r of A enters r cycles late at the left, column c of B c cycles late at the
// top. A fold ends when its last pair has passed the last PE, also where the tile uses only part of the array.
// Loading, start, done and reset as in tile_array, with one position a window.
module systolic_array #(
    parameter int R = 2,
    parameter int C = 2,
    parameter int W = 8,
    parameter int ACC = 32,
    parameter int STEPS = 64,  // K positions of a fold that can be stored
    localparam int N = $clog2(STEPS + 1)
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic [R-1:0]       rows_used,
    input  logic [C-1:0]       cols_used,
    input  logic               load_first,
    input  logic               load,
    input  logic [R*W-1:0]     load_a,
    input  logic [C*W-1:0]     load_b,
    input  logic               start,
    output logic               done,
    output logic [R*C*ACC-1:0] sums,
    output logic               running,
    output logic [R*C-1:0]     valid,
    output logic [R*C-1:0]     effectual,
    output logic               feed        // a position of K is read
);
    localparam int I = $clog2(STEPS);

    logic             clear, ended;
    logic [N-1:0]     stored, at, step;
    logic [R*W-1:0]   a;
    logic [C*W-1:0]   b;
    // PE (r, c) reads place (r, c) of right and down, and hands on to (r, c + 1) and (r + 1, c)
    logic [R*(C+1)*W-1:0] right;
    logic [(R+1)*C*W-1:0] down;
    logic [R-1:0]         enters, waits;         // a pair is in front of column 0; is in the skew registers
    logic [R*C-1:0]       handed_on, in_flight;  // by each PE; to each PE from the one at its left

    assign at = load_first ? '0 : stored;
    always_ff @(posedge clk) begin
        if (!rst_n) stored <= '0;
        else stored <= at + {{(N - 1) {1'b0}}, load};
    end

    assign feed = running && step != stored;
    always_ff @(posedge clk) begin
        if (!rst_n || clear) step <= '0;
        else if (feed) step <= step + 1'b1;
    end

    assign ended = step == stored && !(|in_flight) && !(|waits);
    logic unused_busy;
    tile_control #(.GROUPS(1)) u_control (
        .clk, .rst_n, .start, .ended, .draining(1'b0), .clear, .running, .busy(unused_busy), .done
    );

    for (genvar r = 0; r < R; r++) begin : g_row_line
        logic unused;
        window_line #(.S(1), .W(W), .WINDOWS(STEPS), .READERS(1)) u_line (
            .clk, .write(load), .at(at[I-1:0]), .mask(1'b1), .values(load_a[r*W+:W]), .pointers(step[I-1:0]),
            .read_mask(unused), .read_values(a[r*W+:W])
        );
        if (r == 0) begin : g_straight
            assign enters[0] = feed;
            assign right[0+:W] = a[0+:W];
            assign waits[0] = 1'b0;
        end else begin : g_skewed
            logic [r-1:0]   late_valid;
            logic [r*W-1:0] late;
            assign enters[r] = late_valid[r-1];
            assign right[r*(C+1)*W+:W] = late[(r-1)*W+:W];
            assign waits[r] = |late_valid;
            always_ff @(posedge clk) begin
                if (!rst_n || clear) late_valid <= '0;
                else late_valid <= r'({late_valid, feed});
            end
            always_ff @(posedge clk) late <= (r * W)'({late, a[r*W+:W]});
        end
    end
    for (genvar c = 0; c < C; c++) begin : g_col_line
        logic unused;
        window_line #(.S(1), .W(W), .WINDOWS(STEPS), .READERS(1)) u_line (
            .clk, .write(load), .at(at[I-1:0]), .mask(1'b1), .values(load_b[c*W+:W]), .pointers(step[I-1:0]),
            .read_mask(unused), .read_values(b[c*W+:W])
        );
        if (c == 0) begin : g_straight
            assign down[0+:W] = b[0+:W];
        end else begin : g_skewed
            logic [c*W-1:0] late;
            assign down[c*W+:W] = late[(c-1)*W+:W];
            always_ff @(posedge clk) late <= (c * W)'({late, b[c*W+:W]});
        end
    end

    for (genvar r = 0; r < R; r++) begin : g_row
        for (genvar c = 0; c < C; c++) begin : g_col
            localparam int PE = r * C + c;
            localparam int HERE = r * (C + 1) + c;
            logic working, arrives;
            assign working = rows_used[r] && cols_used[c];
            if (c == 0) begin : g_first
                assign arrives = enters[r];
                assign in_flight[PE] = 1'b0;
            end else begin : g_later
                assign arrives = handed_on[PE-1];
                assign in_flight[PE] = handed_on[PE-1];
            end
            assign valid[PE] = arrives;
            assign effectual[PE] = arrives && working && |right[HERE*W+:W] && |down[PE*W+:W];
            systolic_pe #(.W(W), .ACC(ACC)) u_pe (
                .clk, .rst_n, .clear, .working, .valid(arrives), .a(right[HERE*W+:W]), .b(down[PE*W+:W]),
                .next_valid(handed_on[PE]), .next_a(right[(HERE+1)*W+:W]), .next_b(down[(PE+C)*W+:W]),
                .sum(sums[PE*ACC+:ACC])
            );
        end
    end

    // What leaves at the right and at the bottom goes nowhere.
    logic unused_edge;
    always_comb begin
        unused_edge = &{1'b0, down[R*C*W+:C*W]};
        for (int r = 0; r < R; r++) begin
            unused_edge = unused_edge & (&{handed_on[r*C+C-1], right[(r*(C+1)+C)*W+:W]});
        end
    end
endmodule

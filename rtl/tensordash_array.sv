// R x C TensorDash PEs of 16 lanes, output-stationary: one tile at a time, loaded, started and done as in tile_array. Each row of A
// and column of B has a scheduler; those of the operand that a tile schedules drive its PEs, and the other operand comes along.
module tensordash_array #(
    parameter int R = 2,
    parameter int C = 2,
    parameter int V = 3,         // windows staged
    parameter int W = 8,
    parameter int ACC = 32,
    parameter int ALONE = 0,     // 1: each schedule moves on by itself, 0: all schedules of a tile together
    parameter int WINDOWS = 64,  // windows of a tile that can be stored
    localparam int S = 16,       // lanes, and positions of a window
    localparam int N = $clog2(WINDOWS + 1)
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic [R-1:0]       rows_used,
    input  logic [C-1:0]       cols_used,
    input  logic [R*C-1:0]     needed,
    input  logic               schedule_b,  // columns of B are scheduled; else rows of A
    input  logic               show_a,
    input  logic               show_b,
    input  logic               drop_a,
    input  logic               drop_b,
    input  logic [31:0]        a_words,
    input  logic [31:0]        b_words,
    input  logic [N-1:0]       a_ahead,
    input  logic [N-1:0]       b_ahead,
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
    output logic               running,
    output logic               busy,
    output logic [R*C-1:0]     waits,
    output logic               leaving,
    output logic [C*ACC-1:0]   leaving_row,
    output logic [R*C-1:0]     ended,
    output logic [R*C-1:0]     advanced,  // the PE's schedule moves on as far as it could
    output logic [R*C*S-1:0]   valid,
    output logic [R*C*S-1:0]   effectual,
    output logic [31:0]        scans,     // windows of schedules that are in their first cycle
    output logic [31:0]        a_reads,   // words read in the cycle before, for this one
    output logic [31:0]        b_reads
);
    localparam int I = $clog2(WINDOWS);
    localparam int LINES = R + C;                    // rows of A, then columns of B
    localparam int GROUPS = (ALONE != 0) ? LINES : 1;
    localparam int ROW_READERS = (ALONE != 0) ? C : 1;
    localparam int COL_READERS = (ALONE != 0) ? R : 1;
    localparam int WORDS = V * S * W;

    logic                clear, write, draining;
    logic [I-1:0]        at;
    logic [N-1:0]        stored;
    logic [31:0]         last_size, rows_in_use, cols_in_use;
    logic [R*S-1:0]      shown_a;
    logic [C*S-1:0]      shown_b;

    tile_intake #(.R(R), .C(C), .S(S), .WINDOWS(WINDOWS)) u_intake (
        .clk, .rst_n, .rows_used, .cols_used, .show_a, .show_b, .drop_a, .drop_b, .load_first, .load, .load_positions,
        .load_a_mask, .load_b_mask, .shown_a, .shown_b, .write, .at, .stored, .last_size, .rows_in_use, .cols_in_use
    );

    // ---- groups: schedules that move on together
    logic [LINES-1:0]      active;      // lines that are scheduled and have an output, or all if nothing is skipped
    logic                  skips;       // the scheduled operand shows its zeros
    logic [GROUPS-1:0]     reading, group_waits, group_ended;
    logic [GROUPS*N-1:0]   pointer;
    logic [GROUPS*V-1:0]   staged, leave, enter, entered, group_has;
    logic [GROUPS*V*V-1:0] put;
    logic [LINES*V-1:0]    empty;       // of each schedule

    assign skips = schedule_b ? show_b : show_a;
    always_comb begin
        active = '0;
        for (int r = 0; r < R; r++)
            for (int c = 0; c < C; c++)
                if ((needed[r*C+c] || !skips) && rows_used[r] && cols_used[c]) active[schedule_b ? R + c : r] = 1'b1;
    end

    for (genvar g = 0; g < GROUPS; g++) begin : g_group
        localparam int MEMBERS = LINES / GROUPS;  // those that are not active have nothing left
        assign reading[g] = ALONE == 0 || active[g];
        stage_group #(.MEMBERS(MEMBERS), .V(V), .WINDOWS(WINDOWS)) u_group (
            .clk, .rst_n, .clear, .running, .windows(reading[g] ? stored : '0), .empty(empty[g*MEMBERS*V+:MEMBERS*V]), .has(group_has[g*V+:V]),
            .pointer(pointer[g*N+:N]), .staged(staged[g*V+:V]), .leave(leave[g*V+:V]), .enter(enter[g*V+:V]), .put(put[g*V*V+:V*V]),
            .entered(entered[g*V+:V]), .waits(group_waits[g]), .ended(group_ended[g])
        );
    end
    tile_control #(.GROUPS(GROUPS)) u_control (
        .clk, .rst_n, .start, .ended(group_ended), .draining, .clear, .running, .busy, .done
    );
    drain #(.R(R), .C(C), .ACC(ACC)) u_drain (
        .clk, .rst_n, .clear, .take(done && overlapped), .shift(busy), .rows_used, .sums, .busy(draining), .row(leaving_row)
    );
    assign leaving = draining && busy;

    // ---- lines, and which group reads each of their staging registers
    logic [R*ROW_READERS*V-1:0]     row_has;
    logic [C*COL_READERS*V-1:0]     col_has;
    logic [R*ROW_READERS*WORDS-1:0] a;
    logic [C*COL_READERS*WORDS-1:0] b;
    logic [R*32-1:0]                row_reads;
    logic [C*32-1:0]                col_reads;
    logic [LINES*16-1:0]            takes;
    logic [LINES*48-1:0]            choice;

    for (genvar r = 0; r < R; r++) begin : g_row_line
        logic [ROW_READERS-1:0]     readers;
        logic [ROW_READERS*N-1:0]   pointers;
        logic [ROW_READERS*V-1:0]   leaves, enters;
        logic [ROW_READERS*V*V-1:0] puts;
        for (genvar n = 0; n < ROW_READERS; n++) begin : g_reader
            localparam int OF_ROW = (ALONE != 0) ? r : 0;
            localparam int OF_COL = (ALONE != 0) ? R + n : 0;
            assign readers[n] = schedule_b ? reading[OF_COL] : reading[OF_ROW];
            assign pointers[n*N+:N] = schedule_b ? pointer[OF_COL*N+:N] : pointer[OF_ROW*N+:N];
            assign leaves[n*V+:V] = schedule_b ? leave[OF_COL*V+:V] : leave[OF_ROW*V+:V];
            assign enters[n*V+:V] = schedule_b ? enter[OF_COL*V+:V] : enter[OF_ROW*V+:V];
            assign puts[n*V*V+:V*V] = schedule_b ? put[OF_COL*V*V+:V*V] : put[OF_ROW*V*V+:V*V];
        end
        staged_line #(.READERS(ROW_READERS), .V(V), .W(W), .WINDOWS(WINDOWS)) u_line (
            .clk, .rst_n, .clear, .running, .used(rows_used[r]), .scheduled(active[r]), .write, .at, .mask(shown_a[r*S+:S]),
            .values(load_a[r*S*W+:S*W]), .windows(stored), .last_size, .lines(rows_in_use), .words(a_words), .ahead(a_ahead),
            .has(row_has[r*ROW_READERS*V+:ROW_READERS*V]), .reads(row_reads[r*32+:32]), .reading(readers), .pointers,
            .leave(leaves), .enter(enters), .put(puts), .staged(a[r*ROW_READERS*WORDS+:ROW_READERS*WORDS]),
            .takes(takes[r*16+:16]), .choice(choice[r*48+:48]), .empty(empty[r*V+:V])
        );
    end
    for (genvar c = 0; c < C; c++) begin : g_col_line
        logic [COL_READERS-1:0]     readers;
        logic [COL_READERS*N-1:0]   pointers;
        logic [COL_READERS*V-1:0]   leaves, enters;
        logic [COL_READERS*V*V-1:0] puts;
        for (genvar n = 0; n < COL_READERS; n++) begin : g_reader
            localparam int OF_ROW = (ALONE != 0) ? n : 0;
            localparam int OF_COL = (ALONE != 0) ? R + c : 0;
            assign readers[n] = schedule_b ? reading[OF_COL] : reading[OF_ROW];
            assign pointers[n*N+:N] = schedule_b ? pointer[OF_COL*N+:N] : pointer[OF_ROW*N+:N];
            assign leaves[n*V+:V] = schedule_b ? leave[OF_COL*V+:V] : leave[OF_ROW*V+:V];
            assign enters[n*V+:V] = schedule_b ? enter[OF_COL*V+:V] : enter[OF_ROW*V+:V];
            assign puts[n*V*V+:V*V] = schedule_b ? put[OF_COL*V*V+:V*V] : put[OF_ROW*V*V+:V*V];
        end
        staged_line #(.READERS(COL_READERS), .V(V), .W(W), .WINDOWS(WINDOWS)) u_line (
            .clk, .rst_n, .clear, .running, .used(cols_used[c]), .scheduled(active[R+c]), .write, .at, .mask(shown_b[c*S+:S]),
            .values(load_b[c*S*W+:S*W]), .windows(stored), .last_size, .lines(cols_in_use), .words(b_words), .ahead(b_ahead),
            .has(col_has[c*COL_READERS*V+:COL_READERS*V]), .reads(col_reads[c*32+:32]), .reading(readers), .pointers,
            .leave(leaves), .enter(enters), .put(puts), .staged(b[c*COL_READERS*WORDS+:COL_READERS*WORDS]),
            .takes(takes[(R+c)*16+:16]), .choice(choice[(R+c)*48+:48]), .empty(empty[(R+c)*V+:V])
        );
    end

    // A group has a window if all of its lines have it.
    always_comb begin
        for (int g = 0; g < GROUPS; g++) begin
            group_has[g*V+:V] = '1;
            for (int r = 0; r < R; r++)
                if (ALONE == 0 || g >= R || g == r)
                    group_has[g*V+:V] = group_has[g*V+:V] & row_has[(r*ROW_READERS+((ALONE != 0 && g >= R) ? g - R : 0))*V+:V];
            for (int c = 0; c < C; c++)
                if (ALONE == 0 || g < R || g == R + c)
                    group_has[g*V+:V] = group_has[g*V+:V] & col_has[(c*COL_READERS+((ALONE != 0 && g < R) ? g : 0))*V+:V];
        end
    end

    always_comb begin
        a_reads = '0;
        b_reads = '0;
        scans = '0;
        for (int r = 0; r < R; r++) a_reads = a_reads + row_reads[r*32+:32];
        for (int c = 0; c < C; c++) b_reads = b_reads + col_reads[c*32+:32];
        for (int n = 0; n < LINES; n++)
            for (int j = 0; j < V; j++)
                if (active[n] && skips && entered[((ALONE!=0)?n : 0)*V+j]) scans = scans + 1;
    end

    // ---- PEs
    for (genvar r = 0; r < R; r++) begin : g_row
        for (genvar c = 0; c < C; c++) begin : g_col
            localparam int PE = r * C + c;
            localparam int A = r * ROW_READERS + ((ROW_READERS > 1) ? c : 0);
            localparam int B = c * COL_READERS + ((COL_READERS > 1) ? r : 0);
            logic [S*W-1:0] lane_a, lane_b;
            localparam int OF_ROW = (ALONE != 0) ? r : 0;
            localparam int OF_COL = (ALONE != 0) ? R + c : 0;
            assign ended[PE] = schedule_b ? group_ended[OF_COL] : group_ended[OF_ROW];
            assign waits[PE] = schedule_b ? group_waits[OF_COL] : group_waits[OF_ROW];
            assign advanced[PE] = schedule_b ? !(|(empty[(R+c)*V+:V] & staged[OF_COL*V+:V] & ~leave[OF_COL*V+:V]))
                                             : !(|(empty[r*V+:V] & staged[OF_ROW*V+:V] & ~leave[OF_ROW*V+:V]));
            tensordash_pe #(.V(V), .W(W), .ACC(ACC)) u_pe (
                .clk, .rst_n, .clear, .working(needed[PE] && rows_used[r] && cols_used[c]),
                .schedule_b, .row_takes(takes[r*16+:16]), .row_choice(choice[r*48+:48]), .col_takes(takes[(R+c)*16+:16]),
                .col_choice(choice[(R+c)*48+:48]), .a(a[A*WORDS+:WORDS]), .b(b[B*WORDS+:WORDS]), .valid(valid[PE*S+:S]), .out_a(lane_a), .out_b(lane_b), .sum(sums[PE*ACC+:ACC])
            );
            for (genvar l = 0; l < S; l++) begin : g_lane
                assign effectual[PE*S+l] = valid[PE*S+l] && |lane_a[l*W+:W] && |lane_b[l*W+:W];
            end
        end
    end
endmodule

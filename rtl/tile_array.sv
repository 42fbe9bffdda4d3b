// R x C dense, scanning or inner-join PEs, output-stationary: one tile at a time. First its windows are stored, a window a cycle (in a
// machine while the tile before it runs); then `start`; when `done` is high, `sums` holds the outputs.
// Reset is synchronous, active low, one cycle; it clears control state only (pointers, counts), not data.
module tile_array #(
    parameter int R = 2,
    parameter int C = 2,
    parameter int L = 1,
    parameter int S = 4,         // positions of a window; L on dense PEs
    parameter int D = 4,
    parameter int W = 8,
    parameter int ACC = 32,
    parameter int SCANS = 1,     // 1: scanning PEs, 0: dense PEs
    parameter int V = 0,         // windows that a group of inner-join PEs holds; 0: the PEs are others
    parameter int SYNC = 1,      // who shares a scan pointer, or windows: 0 nobody, 1 a row, 2 a column, 3 the array
    parameter int WINDOWS = 64,  // windows of a tile that can be stored
    localparam int N = $clog2(WINDOWS + 1),
    localparam int E = $clog2(S + 1)
) (
    input  logic               clk,
    input  logic               rst_n,
    // a tile's shape, what is skipped: stable from the first window until `done`
    input  logic [R-1:0]       rows_used,
    input  logic [C-1:0]       cols_used,
    input  logic [R*C-1:0]     needed,
    input  logic               show_a,
    input  logic               show_b,
    input  logic               drop_a,
    input  logic               drop_b,
    input  logic [31:0]        a_words,     // of the ports: words per cycle, 0: as many as are asked for
    input  logic [31:0]        b_words,
    input  logic [N-1:0]       a_ahead,     // whole windows per cycle, 0 if fewer than one
    input  logic [N-1:0]       b_ahead,
    input  logic               overlapped,  // results leave while the next tile runs; else they are taken at `done`
    // a tile's windows
    input  logic               load_first,  // forget what is stored; together with the first window or alone
    input  logic               load,
    input  logic [S-1:0]       load_positions,
    input  logic [R*S-1:0]     load_a_mask,
    input  logic [C*S-1:0]     load_b_mask,
    input  logic [R*S*W-1:0]   load_a,
    input  logic [C*S*W-1:0]   load_b,
    // the run
    input  logic               start,
    output logic               done,
    output logic [R*C*ACC-1:0] sums,
    // what each PE does in this cycle, for counters
    output logic               running,
    output logic               busy,
    output logic [R*C-1:0]     waits,
    output logic               leaving,     // a row of results, of the tile before
    output logic [C*ACC-1:0]   leaving_row,
    output logic [R*C-1:0]     ended,
    output logic [R*C-1:0]     advanced,
    output logic [R*C*E-1:0]   pushed,
    output logic [R*C*L-1:0]   valid,
    output logic [R*C*L-1:0]   effectual,
    output logic [31:0]        a_reads,     // words that are read; of inner-join PEs in the cycle before they are seen
    output logic [31:0]        b_reads
);
    localparam int I = $clog2(WINDOWS);
    localparam int GROUPS = (SYNC == 0) ? R * C : (SYNC == 1) ? R : (SYNC == 2) ? C : 1;
    localparam int MEMBERS = R * C / GROUPS;
    localparam int ROW_READERS = (SYNC == 0 || SYNC == 2) ? C : 1;
    localparam int COL_READERS = (SYNC == 0 || SYNC == 1) ? R : 1;
    localparam int PLACES = (V > 0) ? V : 1;
    localparam int SEEN = PLACES * S * W;  // bits of an operand that a PE sees

    logic                clear, write;
    logic [I-1:0]        at;
    logic [N-1:0]        stored;
    logic [31:0]         last_size, rows_in_use, cols_in_use;
    logic [R*S-1:0]      shown_a;
    logic [C*S-1:0]      shown_b;
    logic [GROUPS*I-1:0] window;
    logic [GROUPS-1:0]   advance, group_ended, group_waits, reading, takes;
    logic                port_first, port_running, started;
    logic [R*32-1:0]     row_reads;
    logic [C*32-1:0]     col_reads;
    logic [GROUPS*N-1:0] pointer;
    logic                draining;
    logic [R*C-1:0]      room, empty;
    logic [R*C*PLACES-1:0]      pe_done;     // inner join: what each PE has done, and where windows enter
    logic [GROUPS*PLACES-1:0]   enter;
    logic [GROUPS*PLACES*PLACES-1:0] older;

    tile_intake #(.R(R), .C(C), .S(S), .WINDOWS(WINDOWS)) u_intake (
        .clk, .rst_n, .rows_used, .cols_used, .show_a, .show_b, .drop_a, .drop_b, .load_first, .load, .load_positions,
        .load_a_mask, .load_b_mask, .shown_a, .shown_b, .write, .at, .stored, .last_size, .rows_in_use, .cols_in_use
    );

    logic [R*ROW_READERS*S-1:0]   a_mask;
    logic [R*ROW_READERS*S*W-1:0] read_a;
    logic [R*ROW_READERS*SEEN-1:0] a;
    logic [C*COL_READERS*S-1:0]   b_mask;
    logic [C*COL_READERS*S*W-1:0] read_b;
    logic [C*COL_READERS*SEEN-1:0] b;

    logic [R*ROW_READERS-1:0] row_has;
    logic [C*COL_READERS-1:0] col_has;

    for (genvar r = 0; r < R; r++) begin : g_row_line
        logic [ROW_READERS*I-1:0] pointers;
        logic [ROW_READERS*N-1:0] whole;
        logic [ROW_READERS-1:0]   readers, has, taken;
        for (genvar n = 0; n < ROW_READERS; n++) begin : g_reader
            localparam int G = (SYNC == 0) ? r * C + n : (SYNC == 1) ? r : (SYNC == 2) ? n : 0;
            assign pointers[n*I+:I] = window[G*I+:I];
            assign whole[n*N+:N] = pointer[G*N+:N];
            assign readers[n] = reading[G];
            assign taken[n] = takes[G];
            localparam int AT = r * ROW_READERS + n;
            if (V > 0) begin : g_holds
                held_windows #(.S(S), .V(V), .W(W)) u_held (
                    .clk, .enter(enter[G*V+:V]), .values(read_a[AT*S*W+:S*W]), .held(a[AT*SEEN+:SEEN])
                );
            end else begin : g_passes
                assign a[AT*SEEN+:SEEN] = read_a[AT*S*W+:S*W];
            end
        end
        line_port #(.S(S), .READERS(ROW_READERS), .WINDOWS(WINDOWS)) u_port (
            .clk, .first(port_first), .running(port_running), .windows(stored), .last_size, .lines(rows_in_use),
            .words(a_words), .ahead(a_ahead), .reading(readers), .pointers(whole), .has, .taken, .reads(row_reads[r*32+:32])
        );
        assign row_has[r*ROW_READERS+:ROW_READERS] = has | {ROW_READERS{!rows_used[r]}};
        window_line #(.S(S), .W(W), .WINDOWS(WINDOWS), .READERS(ROW_READERS)) u_line (
            .clk, .write, .at, .mask(shown_a[r*S+:S]), .values(load_a[r*S*W+:S*W]), .pointers,
            .read_mask(a_mask[r*ROW_READERS*S+:ROW_READERS*S]), .read_values(read_a[r*ROW_READERS*S*W+:ROW_READERS*S*W])
        );
    end
    for (genvar c = 0; c < C; c++) begin : g_col_line
        logic [COL_READERS*I-1:0] pointers;
        logic [COL_READERS*N-1:0] whole;
        logic [COL_READERS-1:0]   readers, has, taken;
        for (genvar n = 0; n < COL_READERS; n++) begin : g_reader
            localparam int G = (SYNC == 0) ? n * C + c : (SYNC == 1) ? n : (SYNC == 2) ? c : 0;
            assign pointers[n*I+:I] = window[G*I+:I];
            assign whole[n*N+:N] = pointer[G*N+:N];
            assign readers[n] = reading[G];
            assign taken[n] = takes[G];
            localparam int AT = c * COL_READERS + n;
            if (V > 0) begin : g_holds
                held_windows #(.S(S), .V(V), .W(W)) u_held (
                    .clk, .enter(enter[G*V+:V]), .values(read_b[AT*S*W+:S*W]), .held(b[AT*SEEN+:SEEN])
                );
            end else begin : g_passes
                assign b[AT*SEEN+:SEEN] = read_b[AT*S*W+:S*W];
            end
        end
        line_port #(.S(S), .READERS(COL_READERS), .WINDOWS(WINDOWS)) u_port (
            .clk, .first(port_first), .running(port_running), .windows(stored), .last_size, .lines(cols_in_use),
            .words(b_words), .ahead(b_ahead), .reading(readers), .pointers(whole), .has, .taken, .reads(col_reads[c*32+:32])
        );
        assign col_has[c*COL_READERS+:COL_READERS] = has | {COL_READERS{!cols_used[c]}};
        window_line #(.S(S), .W(W), .WINDOWS(WINDOWS), .READERS(COL_READERS)) u_line (
            .clk, .write, .at, .mask(shown_b[c*S+:S]), .values(load_b[c*S*W+:S*W]), .pointers,
            .read_mask(b_mask[c*COL_READERS*S+:COL_READERS*S]), .read_values(read_b[c*COL_READERS*S*W+:COL_READERS*S*W])
        );
    end

    // Inner-join PEs take a window with the clock edge before its first cycle, others in that cycle.
    always_ff @(posedge clk) started <= clear;
    assign port_first = (V > 0) ? clear : started;
    assign port_running = running || (V > 0 && clear);
    always_comb begin
        a_reads = '0;
        b_reads = '0;
        for (int r = 0; r < R; r++) if (rows_used[r]) a_reads = a_reads + row_reads[r*32+:32];
        for (int c = 0; c < C; c++) if (cols_used[c]) b_reads = b_reads + col_reads[c*32+:32];
    end

    // ---- groups and the tile's end
    for (genvar g = 0; g < GROUPS; g++) begin : g_group
        localparam int FIRST_ROW = (SYNC == 0) ? g / C : (SYNC == 1) ? g : 0;
        localparam int LAST_ROW = (SYNC == 0 || SYNC == 1) ? FIRST_ROW : R - 1;
        localparam int FIRST_COL = (SYNC == 0) ? g % C : (SYNC == 2) ? g : 0;
        localparam int LAST_COL = (SYNC == 0 || SYNC == 2) ? FIRST_COL : C - 1;
        logic               has;
        logic [MEMBERS-1:0] has_room, is_empty, has_output;
        always_comb begin  // of the group's lines, each has it
            has = 1'b1;
            for (int r = FIRST_ROW; r <= LAST_ROW; r++) has = has && row_has[r*ROW_READERS+((ROW_READERS > 1) ? FIRST_COL : 0)];
            for (int c = FIRST_COL; c <= LAST_COL; c++) has = has && col_has[c*COL_READERS+((COL_READERS > 1) ? FIRST_ROW : 0)];
        end
        assign reading[g] = |has_output;
        logic [MEMBERS*PLACES-1:0] is_done;
        for (genvar m = 0; m < MEMBERS; m++) begin : g_member
            localparam int PE = (SYNC == 0) ? g : (SYNC == 1) ? g * C + m : (SYNC == 2) ? m * C + g : m;
            assign has_room[m] = room[PE];
            assign is_empty[m] = empty[PE];
            assign has_output[m] = needed[PE] && rows_used[PE/C] && cols_used[PE%C];
            assign is_done[m*PLACES+:PLACES] = pe_done[PE*PLACES+:PLACES];
        end
        if (V > 0) begin : g_join
            logic unused, lacked;  // the window that would be in its first cycle now
            assign unused = &{1'b0, has_room, is_empty};
            assign takes[g] = |enter[g*V+:V];
            join_group #(.MEMBERS(MEMBERS), .V(V), .WINDOWS(WINDOWS)) u_group (
                .clk, .rst_n, .clear, .running, .windows(stored), .has, .done(is_done), .pointer(pointer[g*N+:N]),
                .window(window[g*I+:I]), .enter(enter[g*V+:V]), .older(older[g*V*V+:V*V]), .entered(advance[g]),
                .waits(lacked), .ended(group_ended[g])
            );
            always_ff @(posedge clk) group_waits[g] <= lacked;
        end else begin : g_scan
            logic unused;
            assign unused = &{1'b0, is_done, enter[g], older[g]};
            assign enter[g] = 1'b0;
            assign older[g] = 1'b0;
            assign takes[g] = advance[g];
            sync_group #(.MEMBERS(MEMBERS), .WINDOWS(WINDOWS)) u_group (
                .clk, .rst_n, .clear, .running, .windows(stored), .has, .room(has_room), .empty(is_empty),
                .pointer(pointer[g*N+:N]), .window(window[g*I+:I]), .advance(advance[g]), .waits(group_waits[g]),
                .ended(group_ended[g])
            );
        end
    end
    tile_control #(.GROUPS(GROUPS)) u_control (
        .clk, .rst_n, .start, .ended(group_ended), .draining, .clear, .running, .busy, .done
    );
    drain #(.R(R), .C(C), .ACC(ACC)) u_drain (
        .clk, .rst_n, .clear, .take(done && overlapped), .shift(busy), .rows_used, .sums, .busy(draining), .row(leaving_row)
    );
    assign leaving = draining && busy;

    // ---- PEs
    for (genvar r = 0; r < R; r++) begin : g_row
        for (genvar c = 0; c < C; c++) begin : g_col
            localparam int PE = r * C + c;
            localparam int G = (SYNC == 0) ? PE : (SYNC == 1) ? r : (SYNC == 2) ? c : 0;
            localparam int A = r * ROW_READERS + ((ROW_READERS > 1) ? c : 0);
            localparam int B = c * COL_READERS + ((COL_READERS > 1) ? r : 0);
            logic           working;
            logic [L*W-1:0] lane_a, lane_b;

            assign working = needed[PE] && rows_used[r] && cols_used[c];
            assign ended[PE] = group_ended[G];
            assign advanced[PE] = advance[G];
            assign waits[PE] = group_waits[G];
            if (V > 0) begin : g_join
                assign room[PE] = 1'b1;
                assign empty[PE] = 1'b1;
                assign pushed[PE*E+:E] = '0;
                inner_join_pe #(.S(S), .V(V), .L(L), .W(W), .ACC(ACC)) u_pe (
                    .clk, .rst_n, .clear, .working, .a_mask(a_mask[A*S+:S]), .b_mask(b_mask[B*S+:S]),
                    .a(a[A*SEEN+:SEEN]), .b(b[B*SEEN+:SEEN]), .enter(enter[G*V+:V]), .older(older[G*V*V+:V*V]),
                    .done(pe_done[PE*V+:V]), .valid(valid[PE*L+:L]), .out_a(lane_a), .out_b(lane_b),
                    .sum(sums[PE*ACC+:ACC])
                );
            end else if (SCANS != 0) begin : g_scanning
                assign pe_done[PE] = 1'b0;
                scanning_pe #(.S(S), .D(D), .L(L), .W(W), .ACC(ACC)) u_pe (
                    .clk, .rst_n, .clear, .working, .a_mask(a_mask[A*S+:S]), .b_mask(b_mask[B*S+:S]),
                    .a(a[A*S*W+:S*W]), .b(b[B*S*W+:S*W]), .push(advance[G]), .room(room[PE]), .empty(empty[PE]),
                    .pushed(pushed[PE*E+:E]), .valid(valid[PE*L+:L]), .out_a(lane_a), .out_b(lane_b),
                    .sum(sums[PE*ACC+:ACC])
                );
            end else begin : g_dense
                assign pe_done[PE] = 1'b0;
                assign lane_a = a[A*S*W+:L*W];
                assign lane_b = b[B*S*W+:L*W];
                assign room[PE] = 1'b1;
                assign empty[PE] = 1'b1;
                assign pushed[PE*E+:E] = '0;
                dense_pe #(.L(L), .W(W), .ACC(ACC)) u_pe (
                    .clk, .rst_n, .clear, .working, .positions(a_mask[A*S+:L] & b_mask[B*S+:L]), .a(lane_a),
                    .b(lane_b), .push(advance[G]), .valid(valid[PE*L+:L]), .sum(sums[PE*ACC+:ACC])
                );
            end
            for (genvar l = 0; l < L; l++) begin : g_lane
                assign effectual[PE*L+l] = valid[PE*L+l] && |lane_a[l*W+:W] && |lane_b[l*W+:W];
            end
        end
    end
endmodule

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
    output logic [R*C-1:0]     ended,
    output logic [R*C-1:0]     advanced,
    output logic [R*C*E-1:0]   pushed,
    output logic [R*C*L-1:0]   valid,
    output logic [R*C*L-1:0]   effectual
);
    localparam int I = $clog2(WINDOWS);
    localparam int GROUPS = (SYNC == 0) ? R * C : (SYNC == 1) ? R : (SYNC == 2) ? C : 1;
    localparam int MEMBERS = R * C / GROUPS;
    localparam int ROW_READERS = (SYNC == 0 || SYNC == 2) ? C : 1;
    localparam int COL_READERS = (SYNC == 0 || SYNC == 1) ? R : 1;
    localparam int PLACES = (V > 0) ? V : 1;
    localparam int SEEN = PLACES * S * W;  // bits of an operand that a PE sees

    logic                clear, keep_a, keep_b, write;
    logic [N-1:0]        stored, at;
    logic [R*S-1:0]      shown_a;
    logic [C*S-1:0]      shown_b;
    logic [GROUPS*I-1:0] window;
    logic [GROUPS-1:0]   advance, group_ended;
    logic [R*C-1:0]      room, empty;
    logic [R*C*PLACES-1:0]      pe_done;     // inner join: what each PE has done, and where windows enter
    logic [GROUPS*PLACES-1:0]   enter;
    logic [GROUPS*PLACES*PLACES-1:0] older;

    // ---- windows come in; a dropped one is overwritten by the next
    window_filter #(.LINES(R), .S(S)) u_filter_a (
        .used(rows_used), .positions(load_positions), .mask(load_a_mask), .show(show_a), .drop(drop_a),
        .shown(shown_a), .keep(keep_a)
    );
    window_filter #(.LINES(C), .S(S)) u_filter_b (
        .used(cols_used), .positions(load_positions), .mask(load_b_mask), .show(show_b), .drop(drop_b),
        .shown(shown_b), .keep(keep_b)
    );
    assign write = load && keep_a && keep_b;
    assign at = load_first ? '0 : stored;

    always_ff @(posedge clk) begin
        if (!rst_n) stored <= '0;
        else stored <= at + {{(N - 1) {1'b0}}, write};
    end

    logic [R*ROW_READERS*S-1:0]   a_mask;
    logic [R*ROW_READERS*S*W-1:0] read_a;
    logic [R*ROW_READERS*SEEN-1:0] a;
    logic [C*COL_READERS*S-1:0]   b_mask;
    logic [C*COL_READERS*S*W-1:0] read_b;
    logic [C*COL_READERS*SEEN-1:0] b;

    for (genvar r = 0; r < R; r++) begin : g_row_line
        logic [ROW_READERS*I-1:0] pointers;
        for (genvar n = 0; n < ROW_READERS; n++) begin : g_reader
            localparam int G = (SYNC == 0) ? r * C + n : (SYNC == 1) ? r : (SYNC == 2) ? n : 0;
            assign pointers[n*I+:I] = window[G*I+:I];
            localparam int AT = r * ROW_READERS + n;
            if (V > 0) begin : g_holds
                held_windows #(.S(S), .V(V), .W(W)) u_held (
                    .clk, .enter(enter[G*V+:V]), .values(read_a[AT*S*W+:S*W]), .held(a[AT*SEEN+:SEEN])
                );
            end else begin : g_passes
                assign a[AT*SEEN+:SEEN] = read_a[AT*S*W+:S*W];
            end
        end
        window_line #(.S(S), .W(W), .WINDOWS(WINDOWS), .READERS(ROW_READERS)) u_line (
            .clk, .write, .at(at[I-1:0]), .mask(shown_a[r*S+:S]), .values(load_a[r*S*W+:S*W]), .pointers,
            .read_mask(a_mask[r*ROW_READERS*S+:ROW_READERS*S]), .read_values(read_a[r*ROW_READERS*S*W+:ROW_READERS*S*W])
        );
    end
    for (genvar c = 0; c < C; c++) begin : g_col_line
        logic [COL_READERS*I-1:0] pointers;
        for (genvar n = 0; n < COL_READERS; n++) begin : g_reader
            localparam int G = (SYNC == 0) ? n * C + c : (SYNC == 1) ? n : (SYNC == 2) ? c : 0;
            assign pointers[n*I+:I] = window[G*I+:I];
            localparam int AT = c * COL_READERS + n;
            if (V > 0) begin : g_holds
                held_windows #(.S(S), .V(V), .W(W)) u_held (
                    .clk, .enter(enter[G*V+:V]), .values(read_b[AT*S*W+:S*W]), .held(b[AT*SEEN+:SEEN])
                );
            end else begin : g_passes
                assign b[AT*SEEN+:SEEN] = read_b[AT*S*W+:S*W];
            end
        end
        window_line #(.S(S), .W(W), .WINDOWS(WINDOWS), .READERS(COL_READERS)) u_line (
            .clk, .write, .at(at[I-1:0]), .mask(shown_b[c*S+:S]), .values(load_b[c*S*W+:S*W]), .pointers,
            .read_mask(b_mask[c*COL_READERS*S+:COL_READERS*S]), .read_values(read_b[c*COL_READERS*S*W+:COL_READERS*S*W])
        );
    end

    // ---- groups and the tile's end
    for (genvar g = 0; g < GROUPS; g++) begin : g_group
        logic [MEMBERS-1:0] has_room, is_empty;
        logic [MEMBERS*PLACES-1:0] is_done;
        for (genvar m = 0; m < MEMBERS; m++) begin : g_member
            localparam int PE = (SYNC == 0) ? g : (SYNC == 1) ? g * C + m : (SYNC == 2) ? m * C + g : m;
            assign has_room[m] = room[PE];
            assign is_empty[m] = empty[PE];
            assign is_done[m*PLACES+:PLACES] = pe_done[PE*PLACES+:PLACES];
        end
        if (V > 0) begin : g_join
            logic unused;
            assign unused = &{1'b0, has_room, is_empty};
            join_group #(.MEMBERS(MEMBERS), .V(V), .WINDOWS(WINDOWS)) u_group (
                .clk, .rst_n, .clear, .running, .windows(stored), .done(is_done), .window(window[g*I+:I]),
                .enter(enter[g*V+:V]), .older(older[g*V*V+:V*V]), .entered(advance[g]), .ended(group_ended[g])
            );
        end else begin : g_scan
            logic unused;
            assign unused = &{1'b0, is_done, enter[g], older[g]};
            assign enter[g] = 1'b0;
            assign older[g] = 1'b0;
            sync_group #(.MEMBERS(MEMBERS), .WINDOWS(WINDOWS)) u_group (
                .clk, .rst_n, .clear, .running, .windows(stored), .room(has_room), .empty(is_empty),
                .window(window[g*I+:I]), .advance(advance[g]), .ended(group_ended[g])
            );
        end
    end
    tile_control #(.GROUPS(GROUPS)) u_control (.clk, .rst_n, .start, .ended(group_ended), .clear, .running, .done);

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

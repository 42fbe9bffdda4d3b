// A tile's windows on their way into the store: what is shown of them, which are kept, where the next one goes; and how many rows
// and columns the tile uses. A dropped window is overwritten by the next.
module tile_intake #(
    parameter int R = 2,
    parameter int C = 2,
    parameter int S = 4,
    parameter int WINDOWS = 64,
    localparam int N = $clog2(WINDOWS + 1),
    localparam int I = $clog2(WINDOWS)
) (
    input  logic           clk,
    input  logic           rst_n,
    input  logic [R-1:0]   rows_used,
    input  logic [C-1:0]   cols_used,
    input  logic           show_a,
    input  logic           show_b,
    input  logic           drop_a,
    input  logic           drop_b,
    input  logic           load_first,
    input  logic           load,
    input  logic [S-1:0]   load_positions,
    input  logic [R*S-1:0] load_a_mask,
    input  logic [C*S-1:0] load_b_mask,
    output logic [R*S-1:0] shown_a,
    output logic [C*S-1:0] shown_b,
    output logic           write,
    output logic [I-1:0]   at,
    output logic [N-1:0]   stored,     // windows of the tile
    output logic [31:0]    last_size,  // positions of the last one
    output logic [31:0]    rows_in_use,
    output logic [31:0]    cols_in_use
);
    logic         keep_a, keep_b;
    logic [N-1:0] next;
    logic [31:0]  size;

    window_filter #(.LINES(R), .S(S)) u_filter_a (
        .used(rows_used), .positions(load_positions), .mask(load_a_mask), .show(show_a), .drop(drop_a),
        .shown(shown_a), .keep(keep_a)
    );
    window_filter #(.LINES(C), .S(S)) u_filter_b (
        .used(cols_used), .positions(load_positions), .mask(load_b_mask), .show(show_b), .drop(drop_b),
        .shown(shown_b), .keep(keep_b)
    );
    assign write = load && keep_a && keep_b;
    assign next = load_first ? '0 : stored;
    assign at = next[I-1:0];

    always_ff @(posedge clk) begin
        if (!rst_n) stored <= '0;
        else stored <= next + {{(N - 1) {1'b0}}, write};
        if (write) last_size <= size;
    end

    always_comb begin
        size = '0;
        rows_in_use = '0;
        cols_in_use = '0;
        for (int s = 0; s < S; s++) size = size + {31'b0, load_positions[s]};
        for (int r = 0; r < R; r++) rows_in_use = rows_in_use + {31'b0, rows_used[r]};
        for (int c = 0; c < C; c++) cols_in_use = cols_in_use + {31'b0, cols_used[c]};
    end
endmodule

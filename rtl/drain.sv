// The second set of accumulators: takes a tile's results at its end, and lets a row of them out through the columns in each
// cycle of the next tile, row 0 first.
module drain #(
    parameter int R = 2,
    parameter int C = 2,
    parameter int ACC = 32,
    localparam int N = $clog2(R + 1)
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic               clear,     // a tile starts
    input  logic               take,      // at its end
    input  logic               shift,     // in every cycle of a tile
    input  logic [R-1:0]       rows_used,
    input  logic [R*C*ACC-1:0] sums,
    output logic               busy,      // results are left
    output logic [C*ACC-1:0]   row        // that leaves in this cycle, if `busy` and `shift`
);
    logic [R*C*ACC-1:0] held;
    logic [N-1:0]       left, rows, own;  // own: of the tile that runs

    always_comb begin
        rows = '0;
        for (int r = 0; r < R; r++) rows = rows + N'(rows_used[r]);
    end
    assign busy = left != '0;
    assign row = held[C*ACC-1:0];

    always_ff @(posedge clk) begin
        if (!rst_n) left <= '0;
        else if (take) left <= own;
        else if (shift && busy) left <= left - 1'b1;
        if (clear) own <= rows;
        if (take) held <= sums;
        else if (shift && busy) held <= held >> (C * ACC);
    end
endmodule

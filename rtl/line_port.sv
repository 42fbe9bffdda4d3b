// The share that one line (a row of A or a column of B) has of its buffer's port: which windows its readers can take in this
// cycle. A port of at least a whole window reads the `ahead` windows from the slowest reader's on. A narrower one reads the
// slowest reader's, and at most one window ahead; words are counted for all `lines` together, each of which has as many.
module line_port #(
    parameter int S = 16,
    parameter int READERS = 1,
    parameter int WINDOWS = 64,
    localparam int N = $clog2(WINDOWS + 1),
    localparam int B = 32
) (
    input  logic                 clk,
    input  logic                 clear,
    input  logic                 running,
    input  logic [N-1:0]         windows,    // of the tile
    input  logic [B-1:0]         last_size,  // positions of the last one
    input  logic [B-1:0]         lines,      // in use
    input  logic [B-1:0]         words,      // per cycle; 0: as many as are asked for
    input  logic [N-1:0]         ahead,      // whole windows per cycle, 0 if fewer than one
    input  logic [READERS-1:0]   reading,    // groups with an output
    input  logic [READERS*N-1:0] pointers,
    output logic [READERS-1:0]   has
);
    logic [N-1:0] slowest, at;
    logic [B-1:0] slack, still, now, most, needed;

    function automatic logic [B-1:0] words_of(input logic [N-1:0] window);
        words_of = (window + 1'b1 == windows ? last_size : B'(S)) * lines;
    endfunction

    always_comb begin
        slowest = windows;
        for (int n = 0; n < READERS; n++)
            if (reading[n] && pointers[n*N+:N] < slowest) slowest = pointers[n*N+:N];
        needed = words_of(slowest);
        most = needed + B'(S) * lines;
        still = slowest == at ? slack : slack - words_of(at);
        now = still + words < most ? still + words : most;
        for (int n = 0; n < READERS; n++)
            has[n] = words == '0 || !reading[n]
                     || (ahead != '0 ? {1'b0, pointers[n*N+:N]} < {1'b0, slowest} + {1'b0, ahead}
                                     : pointers[n*N+:N] == slowest && now >= needed);
    end

    always_ff @(posedge clk) begin
        if (clear) begin
            slack <= '0;
            at <= '0;
        end else if (running) begin
            slack <= now;
            at <= slowest;
        end
    end
endmodule

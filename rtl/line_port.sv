// The share that one line (a row of A or a column of B) has of its buffer's port: which windows its readers can take in this
// cycle. A port of at least a whole window reads the `ahead` windows from the slowest reader's on. A narrower one reads the
// slowest reader's, and at most one window ahead; words are counted for all `lines` together, each of which has as many.
// Readers that take the same window in the same cycle share the read; a narrow port keeps a window until all have taken it.
module line_port #(
    parameter int S = 16,
    parameter int READERS = 1,
    parameter int TAKES = 1,     // windows that a reader may take in a cycle
    parameter int WINDOWS = 64,
    localparam int N = $clog2(WINDOWS + 1),
    localparam int B = 32
) (
    input  logic                     clk,
    input  logic                     first,      // this is a tile's first cycle, as the port sees it
    input  logic                     running,
    input  logic [N-1:0]             windows,    // of the tile
    input  logic [B-1:0]             last_size,  // positions of the last one
    input  logic [B-1:0]             lines,      // in use
    input  logic [B-1:0]             words,      // per cycle; 0: as many as are asked for
    input  logic [N-1:0]             ahead,      // whole windows per cycle, 0 if fewer than one
    input  logic [READERS-1:0]       reading,    // groups with an output
    input  logic [READERS*N-1:0]     pointers,   // the next window of each
    output logic [READERS*TAKES-1:0] has,        // bit n * TAKES + t: reader n can take the window t after its next one
    input  logic [READERS*TAKES-1:0] taken,      // and does
    output logic [B-1:0]             reads       // words of this line that are read for that
);
    localparam int M = $clog2(WINDOWS + TAKES + 1) + 1;  // bits that hold any window that is looked at

    logic [N-1:0] slowest, at, was;
    logic [B-1:0] slack, had, still, now, most, needed;
    logic         narrow, kept, some, read;

    function automatic logic [B-1:0] size_of(input logic [N-1:0] window);
        size_of = window + 1'b1 == windows ? last_size : B'(S);
    endfunction

    always_comb begin
        slowest = windows;
        for (int n = 0; n < READERS; n++)
            if (reading[n] && pointers[n*N+:N] < slowest) slowest = pointers[n*N+:N];
        narrow = words != '0 && ahead == '0;
        was = first ? '0 : at;
        had = first ? '0 : slack;
        needed = size_of(slowest) * lines;
        most = needed + B'(S) * lines;
        still = slowest == was ? had : had - size_of(was) * lines;
        now = still + words < most ? still + words : most;
        for (int n = 0; n < READERS; n++)
            for (int t = 0; t < TAKES; t++)
                has[n*TAKES+t] = words == '0 || !reading[n]
                                 || (narrow ? t == 0 && pointers[n*N+:N] == slowest && now >= needed
                                            : at_of(pointers[n*N+:N], M'(t)) < M'(slowest) + M'(ahead));
    end

    always_comb begin
        reads = '0;
        for (int n = 0; n < READERS; n++)
            for (int t = 0; t < TAKES; t++) begin
                read = reading[n] && taken[n*TAKES+t] && !(narrow && kept && !first && slowest == was);
                for (int m = 0; m < n; m++)  // a reader before this one takes the same window
                    for (int u = 0; u < TAKES; u++)
                        if (reading[m] && taken[m*TAKES+u]
                            && at_of(pointers[m*N+:N], M'(u)) == at_of(pointers[n*N+:N], M'(t))) read = 1'b0;
                if (read) reads = reads + size_of(N'(at_of(pointers[n*N+:N], M'(t))));
            end
    end

    always_comb begin
        some = 1'b0;
        for (int n = 0; n < READERS; n++) some = some || (reading[n] && |taken[n*TAKES+:TAKES]);
    end

    function automatic logic [M-1:0] at_of(input logic [N-1:0] window, input logic [M-1:0] ahead_of_it);
        at_of = M'(window) + ahead_of_it;
    endfunction

    always_ff @(posedge clk) begin
        if (running) begin
            slack <= now;
            at <= slowest;
            kept <= some || (kept && !first && slowest == was);
        end
    end
endmodule

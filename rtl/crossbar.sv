// Crossbar of one PE, from the S positions of a window to the D places of the queue, after those that are taken: what the
// queue would hold if nothing left.
module crossbar #(
    parameter int S = 16,
    parameter int D = 16,
    parameter int L = 1,
    parameter int W = 8,
    localparam int N = $clog2(D + 1),
    localparam int T = $clog2(D + S + L + 1),
    localparam int P = 2 * W  // bits of a pair
) (
    input  logic [S-1:0]   hit,
    input  logic [S*T-1:0] place,
    input  logic [S*W-1:0] a,
    input  logic [S*W-1:0] b,
    input  logic [N-1:0]   held,
    input  logic [D*P-1:0] queue,
    output logic [D*P-1:0] merged
);
    always_comb begin
        merged = '0;
        for (int i = 0; i < D; i++) begin
            if (T'(i) < T'(held)) begin
                merged[i*P+:P] = queue[i*P+:P];
            end else begin
                for (int j = 0; j < S; j++) begin
                    merged[i*P+:P] = merged[i*P+:P]
                        | ({a[j*W+:W], b[j*W+:W]} & {P{hit[j] && place[j*T+:T] == T'(i)}});
                end
            end
        end
    end
endmodule

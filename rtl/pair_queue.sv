// Queue of one PE: up to L pairs leave from the front in a cycle, pairs that have just come in included; the rest moves up.
module pair_queue #(
    parameter int S = 16,
    parameter int D = 16,
    parameter int L = 1,
    parameter int W = 8,
    localparam int T = $clog2(D + S + L + 1),
    localparam int P = 2 * W
) (
    input  logic           clk,
    input  logic [D*P-1:0] merged,
    input  logic [T-1:0]   take,
    output logic [D*P-1:0] queue,
    output logic [L-1:0]   valid,  // pairs that leave this cycle, from lane 0 on
    output logic [L*W-1:0] out_a,
    output logic [L*W-1:0] out_b
);
    logic [(D+L)*P-1:0] offered;
    logic [D*P-1:0]     next;

    assign offered = {{(L * P) {1'b0}}, merged};

    for (genvar l = 0; l < L; l++) begin : g_lane
        assign valid[l] = take > T'(l);
        assign {out_a[l*W+:W], out_b[l*W+:W]} = offered[l*P+:P];
    end

    always_comb begin
        next = merged;
        for (int t = 1; t <= L; t++) begin
            if (take == T'(t)) next = offered[t*P+:D*P];
        end
    end

    always_ff @(posedge clk) queue <= next;
endmodule

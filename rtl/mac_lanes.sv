// L multiply-accumulate lanes of one PE: the pairs taken in a cycle are registered, and added to the sum in the next.
module mac_lanes #(
    parameter int L = 1,     // lanes
    parameter int W = 8,     // bits of an operand, signed
    parameter int ACC = 32   // bits of the sum, signed, wraps
) (
    input  logic           clk,
    input  logic           rst_n,
    input  logic           clear,  // start of a tile: the sum becomes zero
    input  logic [L-1:0]   valid,
    input  logic [L*W-1:0] a,
    input  logic [L*W-1:0] b,
    output logic [ACC-1:0] sum
);
    localparam int P = (2 * W > ACC) ? 2 * W : ACC;

    logic [L-1:0]   taken;
    logic [L*W-1:0] taken_a;
    logic [L*W-1:0] taken_b;
    logic [L*P-1:0] products;
    logic [P-1:0]   total;

    for (genvar l = 0; l < L; l++) begin : g_lane
        logic signed [2*W-1:0] left, right, product;
        assign left = {{W{taken_a[l*W+W-1]}}, taken_a[l*W+:W]};
        assign right = {{W{taken_b[l*W+W-1]}}, taken_b[l*W+:W]};
        assign product = left * right;
        if (P > 2 * W) begin : g_extend
            assign products[l*P+:P] = {{(P - 2 * W) {product[2*W-1]}}, product};
        end else begin : g_whole
            assign products[l*P+:P] = product;
        end
    end

    always_comb begin
        total = '0;
        for (int l = 0; l < L; l++) begin
            if (taken[l]) total = total + products[l*P+:P];
        end
    end

    if (P > ACC) begin : g_wraps
        logic unused;
        assign unused = &{1'b0, total[P-1:ACC]};
    end

    always_ff @(posedge clk) begin
        if (!rst_n || clear) taken <= '0;
        else taken <= valid;
        if (clear) sum <= '0;
        else sum <= sum + total[ACC-1:0];
    end

    always_ff @(posedge clk) begin
        for (int l = 0; l < L; l++) begin
            if (valid[l]) begin
                taken_a[l*W+:W] <= a[l*W+:W];
                taken_b[l*W+:W] <= b[l*W+:W];
            end
        end
    end
endmodule

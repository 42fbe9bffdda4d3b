// Systolic PE: multiplies what comes in from left and above, and hands both on in the next cycle.
module systolic_pe #(
    parameter int W = 8,
    parameter int ACC = 32
) (
    input  logic           clk,
    input  logic           rst_n,
    input  logic           clear,
    input  logic           working,
    input  logic           valid,
    input  logic [W-1:0]   a,
    input  logic [W-1:0]   b,
    output logic           next_valid,
    output logic [W-1:0]   next_a,
    output logic [W-1:0]   next_b,
    output logic [ACC-1:0] sum
);
    mac_lanes #(.L(1), .W(W), .ACC(ACC)) u_lane (.clk, .rst_n, .clear, .valid(valid && working), .a, .b, .sum);

    always_ff @(posedge clk) begin
        if (!rst_n || clear) next_valid <= 1'b0;
        else next_valid <= valid;
    end

    always_ff @(posedge clk) begin
        next_a <= a;
        next_b <= b;
    end
endmodule

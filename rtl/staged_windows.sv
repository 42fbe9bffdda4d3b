// The staging registers of one row of A or one column of B: V windows, the oldest one in front.
module staged_windows #(
    parameter int V = 3,
    parameter int W = 8,
    localparam int B = 16 * W
) (
    input  logic           clk,
    input  logic [V-1:0]   leave,
    input  logic [V*V-1:0] put,
    input  logic [V*B-1:0] values,  // the windows that may enter
    output logic [V*B-1:0] staged
);
    for (genvar i = 0; i < V; i++) begin : g_place
        logic [B-1:0] next;
        always_comb begin
            next = staged[i*B+:B];
            for (int n = 1; n < V - i + 0; n++)
                if (leave[n-1]) next = staged[(i+n)*B+:B];
            for (int j = 0; j <= i; j++)
                if (put[i*V+j]) next = values[j*B+:B];
        end
        always_ff @(posedge clk) if (leave[0] || |put[i*V+:V]) staged[i*B+:B] <= next;
    end
endmodule

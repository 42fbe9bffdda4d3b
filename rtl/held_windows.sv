// The windows of one row of A or one column of B that a group of inner-join PEs holds: registers that all its PEs see.
module held_windows #(
    parameter int S = 8,
    parameter int V = 2,
    parameter int W = 8
) (
    input  logic             clk,
    input  logic [V-1:0]     enter,   // the window that is read enters this place
    input  logic [S*W-1:0]   values,
    output logic [V*S*W-1:0] held
);
    always_ff @(posedge clk) begin
        for (int s = 0; s < V; s++) begin
            if (enter[s]) held[s*S*W+:S*W] <= values;
        end
    end
endmodule

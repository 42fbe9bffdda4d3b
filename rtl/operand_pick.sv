// The operands of one side that a PE's lanes take out of the windows that its row or column holds: a multiplexer a lane.
module operand_pick #(
    parameter int S = 8,
    parameter int V = 2,
    parameter int L = 1,
    parameter int W = 8,
    localparam int P = (V * S > 1) ? $clog2(V * S) : 1
) (
    input  logic [L*P-1:0]   place,  // of each lane's operand
    input  logic [V*S*W-1:0] held,
    output logic [L*W-1:0]   picked
);
    for (genvar w = 0; w < W; w++) begin : g_bit
        logic [V*S-1:0] column;
        for (genvar i = 0; i < V * S; i++) begin : g_place
            assign column[i] = held[i*W+w];
        end
        for (genvar l = 0; l < L; l++) begin : g_lane
            assign picked[l*W+w] = column[place[l*P+:P]];
        end
    end
endmodule

// The operands of one side that a TensorDash PE's 16 lanes take out of the staged windows: a multiplexer of their candidates each
// (lane_scheduler.sv numbers them).
module lane_pick #(
    parameter int V = 3,
    parameter int W = 8
) (
    input  logic [47:0]       choice,
    input  logic [V*16*W-1:0] staged,
    output logic [16*W-1:0]   picked
);
    localparam logic [15:0] AHEAD = {2'd1, 2'd2, 2'd2, 2'd1, 2'd1, 2'd2, 2'd1, 2'd0};
    localparam logic [31:0] ACROSS = {4'd13, 4'd2, 4'd14, 4'd1, 4'd15, 4'd0, 4'd0, 4'd0};

    for (genvar l = 0; l < 16; l++) begin : g_lane
        logic [8*W-1:0] candidates;
        for (genvar n = 0; n < 8; n++) begin : g_candidate
            // One out of sight is never chosen: its place in the multiplexer is that of a neighbour.
            localparam int M = (V >= 3) ? n : (V == 1) ? 0 : (n == 2) ? 3 : (n == 5) ? 4 : (n == 6) ? 7 : n;
            assign candidates[n*W+:W] = staged[(32'(AHEAD[2*M+:2])*16+(l+32'(ACROSS[4*M+:4]))%16)*W+:W];
        end
        assign picked[l*W+:W] = candidates[choice[l*3+:3]*W+:W];
    end
endmodule

// Tiles run one after another: from `start` until all groups have ended, when all PEs meet, and the results of the tile before
// have left. `done` is high for one cycle, the tile's cycles + 2 after `start`: one to enter `running`, one to see that all have
// ended (the last sums are written in it).
module tile_control #(
    parameter int GROUPS = 1
) (
    input  logic              clk,
    input  logic              rst_n,
    input  logic              start,
    input  logic [GROUPS-1:0] ended,
    input  logic              draining,  // results of the tile before are left
    output logic              clear,
    output logic              running,
    output logic              busy,      // running, or waiting for the drain
    output logic              done
);
    logic active, finished;

    assign clear = start && !active;
    assign finished = (&ended) && !draining;
    assign running = active && !(&ended);
    assign busy = active && !finished;

    always_ff @(posedge clk) begin
        if (!rst_n) begin
            active <= 1'b0;
            done <= 1'b0;
        end else begin
            active <= clear || busy;
            done <= active && finished;
        end
    end
endmodule

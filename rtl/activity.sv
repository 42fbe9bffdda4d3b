// Counters of one tile: where every lane of every cycle went, windows scanned, pairs queued, words read. Cleared by `clear`.
module activity #(
    parameter int PES = 4,
    parameter int L = 1,
    parameter int S = 4,
    parameter int SKEW = 0,   // 1: a lane without a pair waits for operands that travel
    localparam int E = $clog2(S + 1),
    localparam int B = 40    // bits of a counter
) (
    input  logic             clk,
    input  logic             clear,
    input  logic             busy,
    input  logic             drains,      // all PEs wait for results to leave
    input  logic [PES-1:0]   working,    // PEs whose output must be computed
    input  logic [PES-1:0]   ended,
    input  logic [PES-1:0]   advanced,
    input  logic [PES-1:0]   waits,       // for the ports
    input  logic [PES*E-1:0] pushed,
    input  logic [PES*L-1:0] valid,
    input  logic [PES*L-1:0] effectual,
    input  logic [B-1:0]     scans,
    input  logic [B-1:0]     a_reads,
    input  logic [B-1:0]     b_reads,
    // effectual, ineffectual, edge, barrier, sync, starved, skew, pushes, scans, port, words read of A, of B
    output logic [12*B-1:0]  counts
);
    logic [12*B-1:0] add;

    always_comb begin
        add = '0;
        add[8*B+:B] = scans;
        add[10*B+:B] = a_reads;
        add[11*B+:B] = b_reads;
        for (int p = 0; p < PES; p++) begin
            for (int l = 0; l < L; l++) begin
                if (!working[p]) add[2*B+:B] = add[2*B+:B] + 1'b1;
                else if (effectual[p*L+l]) add[0*B+:B] = add[0*B+:B] + 1'b1;
                else if (valid[p*L+l]) add[1*B+:B] = add[1*B+:B] + 1'b1;
                else if (SKEW != 0 || drains) add[6*B+:B] = add[6*B+:B] + 1'b1;
                else if (ended[p]) add[3*B+:B] = add[3*B+:B] + 1'b1;
                else if (waits[p]) add[9*B+:B] = add[9*B+:B] + 1'b1;
                else if (!advanced[p]) add[4*B+:B] = add[4*B+:B] + 1'b1;
                else add[5*B+:B] = add[5*B+:B] + 1'b1;
            end
            add[7*B+:B] = add[7*B+:B] + B'(pushed[p*E+:E]);
        end
    end

    always_ff @(posedge clk) begin
        for (int n = 0; n < 12; n++) begin
            if (clear) counts[n*B+:B] <= '0;
            else if (busy) counts[n*B+:B] <= counts[n*B+:B] + add[n*B+:B];
        end
    end
endmodule

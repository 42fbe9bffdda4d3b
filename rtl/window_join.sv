// What an inner-join PE has left of the windows that its group holds, and which pairs it takes: up to L in a cycle, those of
// the oldest window first, within a window from position 0 on. Counts are unary: bit n of one says "more than n".
module window_join #(
    parameter int S = 8,  // positions of a window
    parameter int V = 2,  // windows that the group holds
    parameter int L = 1,  // pairs taken in a cycle
    localparam int P = (V * S > 1) ? $clog2(V * S) : 1  // bits of a place
) (
    input  logic             clk,
    input  logic             rst_n,
    input  logic             working,  // this PE's output must be computed
    input  logic [S-1:0]     a_mask,   // of the window that enters with this clock edge ...
    input  logic [S-1:0]     b_mask,
    input  logic [V-1:0]     enter,    // ... into this place; zero: none does
    input  logic [V*V-1:0]   older,    // bit s * V + t: the window at place t came before that at place s
    output logic [L-1:0]     valid,    // the lane takes a pair: ...
    output logic [L*P-1:0]   place,    // ... the one at this place of V * S
    output logic [V-1:0]     done      // no pair of the window at this place is left after this cycle
);
    logic [V*S-1:0]   left, rest;
    logic [L*V*S-1:0] chosen;  // by each lane: one bit, or none
    logic [V*S*L-1:0] ahead;   // pairs of the same window in front of each position
    logic [V*L-1:0]   total;   // pairs of each window
    logic [V*L-1:0]   first;   // pairs of older windows

    always_comb begin
        ahead = '0;
        total = '0;
        for (int s = 0; s < V; s++) begin
            for (int i = 0; i < S; i++) begin
                ahead[(s*S+i)*L+:L] = total[s*L+:L];
                if (left[s*S+i]) total[s*L+:L] = L'({total[s*L+:L], 1'b1});
            end
        end
    end

    always_comb begin
        first = '0;
        for (int s = 0; s < V; s++) begin
            for (int t = 0; t < V; t++) begin
                if (t != s && older[s*V+t]) first[s*L+:L] = sum_of(first[s*L+:L], total[t*L+:L]);
            end
        end
    end

    always_comb begin
        chosen = '0;
        rest = '0;
        for (int s = 0; s < V; s++) begin
            for (int i = 0; i < S; i++) begin
                logic [L-1:0] rank;
                rank = sum_of(first[s*L+:L], ahead[(s*S+i)*L+:L]);
                rest[s*S+i] = left[s*S+i] && rank[L-1];
                chosen[s*S+i] = left[s*S+i] && !rank[0];
                for (int l = 1; l < L; l++) chosen[l*V*S+s*S+i] = left[s*S+i] && rank[l-1] && !rank[l];
            end
        end
    end

    for (genvar s = 0; s < V; s++) begin : g_window
        assign done[s] = rest[s*S+:S] == '0;
    end
    for (genvar l = 0; l < L; l++) begin : g_lane
        assign valid[l] = |chosen[l*V*S+:V*S];
        for (genvar p = 0; p < P; p++) begin : g_bit
            logic [V*S-1:0] set;  // chosen places with this bit
            for (genvar i = 0; i < V * S; i++) begin : g_place
                assign set[i] = chosen[l*V*S+i] && ((i >> p) % 2 == 1);
            end
            assign place[l*P+p] = |set;
        end
    end

    always_ff @(posedge clk) begin
        for (int s = 0; s < V; s++) begin
            if (!rst_n) left[s*S+:S] <= '0;
            else left[s*S+:S] <= rest[s*S+:S] | (a_mask & b_mask & {S{working && enter[s]}});
        end
    end

    // The sum of two unary counts, at most L.
    function automatic logic [L-1:0] sum_of(input logic [L-1:0] x, input logic [L-1:0] y);
        for (int n = 0; n < L; n++) begin
            sum_of[n] = x[n] | y[n];
            for (int j = 0; j < n; j++) sum_of[n] = sum_of[n] | (x[j] & y[n-1-j]);
        end
    endfunction
endmodule

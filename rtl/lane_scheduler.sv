// TensorDash's scheduler (Mahmoud et al., MICRO 2020): in a cycle each of 16 lanes takes the first of its candidates that is
// non-zero and not taken yet, by windows ahead and lanes across, modulo 16:
//     (0, 0)  (1, 0)  (2, 0)  (1, -1)  (1, +1)  (2, -2)  (2, +2)  (1, -3)
// as far as V windows are staged. Lanes choose in the order {0, 5, 10} {1, 6, 11} {2, 7, 12} {3, 8, 13} {4, 9, 14} {15}; no two
// of a level share a candidate, so they choose at the same time.
module lane_scheduler #(
    parameter int V = 3  // windows staged, 1 to 3
) (
    input  logic [V*16-1:0] left,    // non-zeros that are not consumed yet, the oldest window first
    output logic [15:0]     valid,   // the lane takes something: ...
    output logic [47:0]     choice,  // ... its candidate of this number, 0 to 7
    output logic [V*16-1:0] rest     // what is left after this cycle
);
    localparam logic [15:0] AHEAD = {2'd1, 2'd2, 2'd2, 2'd1, 2'd1, 2'd2, 2'd1, 2'd0};
    localparam logic [31:0] ACROSS = {4'd13, 4'd2, 4'd14, 4'd1, 4'd15, 4'd0, 4'd0, 4'd0};

    always_comb begin
        rest = left;
        valid = '0;
        choice = '0;
        for (int i = 0; i < 16; i++) begin
            for (int n = 0; n < 8; n++) begin
                if (is_staged(n) && !valid[lane(i)] && rest[place(i, n)]) begin
                    valid[lane(i)] = 1'b1;
                    choice[lane(i)*3+:3] = 3'(n);
                    rest[place(i, n)] = 1'b0;
                end
            end
        end
    end

    // The lane that chooses as the i-th.
    function automatic int lane(input int i);
        lane = i == 15 ? 15 : (i % 3) * 5 + i / 3;
    endfunction
    function automatic logic is_staged(input int n);
        is_staged = 32'(AHEAD[2*n+:2]) < V;
    endfunction
    // Where its n-th candidate lies.
    function automatic int place(input int i, input int n);
        place = is_staged(n) ? 32'(AHEAD[2*n+:2]) * 16 + (lane(i) + 32'(ACROSS[4*n+:4])) % 16 : 0;
    endfunction
endmodule

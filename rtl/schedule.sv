// One schedule of TensorDash: what is left of the staged windows of the row of A or column of B that is scheduled, and what its
// lanes take of it.
module schedule #(
    parameter int V = 3
) (
    input  logic            clk,
    input  logic            rst_n,
    input  logic [V-1:0]    leave,
    input  logic [V*V-1:0]  put,
    input  logic [V*16-1:0] masks,   // of the windows that may enter
    output logic [15:0]     valid,
    output logic [47:0]     choice,
    output logic [V-1:0]    empty    // the windows up to this place are empty after this cycle
);
    logic [V*16-1:0] left, rest, next;
    logic            all;

    lane_scheduler #(.V(V)) u_scheduler (.left, .valid, .choice, .rest);

    always_comb begin
        all = 1'b1;
        for (int i = 0; i < V; i++) begin
            all = all && rest[i*16+:16] == '0;
            empty[i] = all;
        end
    end

    always_comb begin
        next = rest;
        for (int n = 0; n < V; n++)
            if (leave[n]) next = next >> 16;
        for (int i = 0; i < V; i++)
            for (int j = 0; j <= i; j++)
                if (put[i*V+j]) next[i*16+:16] = masks[j*16+:16];
    end
    always_ff @(posedge clk) left <= rst_n ? next : '0;
endmodule

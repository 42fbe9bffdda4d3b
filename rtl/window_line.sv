// The windows of one row of A or one column of B, with a read port for each scan pointer that reads this line.
module window_line #(
    parameter int S = 16,
    parameter int W = 8,
    parameter int WINDOWS = 64,
    parameter int READERS = 1,
    localparam int I = $clog2(WINDOWS)
) (
    input  logic                   clk,
    input  logic                   write,
    input  logic [I-1:0]           at,
    input  logic [S-1:0]           mask,
    input  logic [S*W-1:0]         values,
    input  logic [READERS*I-1:0]   pointers,
    output logic [READERS*S-1:0]   read_mask,
    output logic [READERS*S*W-1:0] read_values
);
    logic [S*W+S-1:0] lines[WINDOWS];

    always_ff @(posedge clk) if (write) lines[at] <= {mask, values};

    for (genvar n = 0; n < READERS; n++) begin : g_reader
        assign {read_mask[n*S+:S], read_values[n*S*W+:S*W]} = lines[pointers[n*I+:I]];
    end
endmodule

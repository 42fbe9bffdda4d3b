// What becomes of a window before it is stored: a tensor that is not listed shows all its positions to the scanner, and
// a window of which a tensor with droppable blocks is all zero over the tile's rows or columns is not kept at all.
module window_filter #(
    parameter int LINES = 2,  // rows of A, or columns of B
    parameter int S = 16
) (
    input  logic [LINES-1:0]   used,       // lines that the tile has
    input  logic [S-1:0]       positions,  // positions that K has
    input  logic [LINES*S-1:0] mask,       // element is non-zero
    input  logic               show,       // the tensor shows its mask to the scanner
    input  logic               drop,       // windows without a non-zero are dropped
    output logic [LINES*S-1:0] shown,
    output logic               keep
);
    logic [LINES-1:0] any;
    for (genvar n = 0; n < LINES; n++) begin : g_line
        assign any[n] = |mask[n*S+:S];
        assign shown[n*S+:S] = positions & (mask[n*S+:S] | {S{!show}});
    end
    assign keep = !drop || |(any & used);
endmodule

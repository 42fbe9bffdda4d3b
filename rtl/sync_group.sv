// The scan pointer of one group of PEs: it moves on when the ports have its window and every PE has room for what it offers.
module sync_group #(
    parameter int MEMBERS = 1,
    parameter int WINDOWS = 64,
    localparam int N = $clog2(WINDOWS + 1),
    localparam int I = $clog2(WINDOWS)
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic               clear,
    input  logic               running,
    input  logic [N-1:0]       windows,  // windows of the tile
    input  logic               has,      // the ports have the window
    input  logic [MEMBERS-1:0] room,
    input  logic [MEMBERS-1:0] empty,
    output logic [N-1:0]       pointer,
    output logic [I-1:0]       window,   // where the pointer stands
    output logic               advance,
    output logic               waits,    // for the ports
    output logic               ended     // no window left, no pair queued
);
    logic left;

    assign window = pointer[I-1:0];
    assign left = pointer != windows;
    assign advance = running && left && has && (&room);
    assign waits = left && !has;
    assign ended = !left && (&empty);

    always_ff @(posedge clk) begin
        if (!rst_n || clear) pointer <= '0;
        else if (advance) pointer <= pointer + 1'b1;
    end
endmodule

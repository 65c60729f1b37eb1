// Product of two signed bytes, made of look-up tables; two cycles after its operands.
// Booth's recoding in radix 4: each pair of bits of b adds -2, -1, 0, 1 or 2 times a. A bit of the multiple
// depends on five inputs, so that a table of six chooses it and adds it to what is there.
module lut_product (
  input clk,
  input signed [7:0] a,
  input signed [7:0] b,
  output reg signed [15:0] p
);
  // A digit times a, less 1 where it is negative.
  function signed [8:0] multiple;
    input [7:0] a;
    input [2:0] digit;
    multiple = ((digit == 3'b011 || digit == 3'b100) ? {a, 1'b0}
                : (digit[0] ^ digit[1]) ? {a[7], a} : 9'd0) ^ {9{negative(digit)}};
  endfunction

  function negative;
    input [2:0] digit;
    negative = digit[2] & ~(digit[1] & digit[0]);
  endfunction

  wire signed [8:0] m0 = multiple(a, {b[1:0], 1'b0});
  wire signed [8:0] m1 = multiple(a, b[3:1]);
  wire signed [8:0] m2 = multiple(a, b[5:3]);
  wire signed [8:0] m3 = multiple(a, b[7:5]);

  // Two digits each; the upper one's carry comes in where its multiple begins. A bit below the sum
  // makes it a carry of the adder.
  wire signed [10:0] low_sum = $signed({{2{m0[8]}}, m0[8:2], 1'b1}) + $signed({m1, negative(b[3:1])});
  wire signed [10:0] high_sum = $signed({{2{m2[8]}}, m2[8:2], 1'b1}) + $signed({m3, negative(b[7:5])});

  reg signed [11:0] low, high;
  reg low_carry, high_carry;
  always @(posedge clk) begin
    low <= {low_sum[10:1], m0[1:0]};
    low_carry <= b[1];
    high <= {high_sum[10:1], m2[1:0]};
    high_carry <= negative(b[5:3]);
    p <= $signed({high, 3'b000, low_carry}) + low + $signed({1'b0, high_carry, 4'b0000});
  end
endmodule

$a = (1 + 2) * -3 / [Math]::Sqrt(16)
$b = @(1, 2, $a)
$c = "x$a`"${b}"
$lr = 1e-4 * $a
$d = 1 / 0
$e = [Math]::Round(2.34567, 3)
if ($a) {
$lr = 1
}

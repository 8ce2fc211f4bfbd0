@echo off
set A=%A%%%
x.py --a %A% ^
 --network_args a=1 ^

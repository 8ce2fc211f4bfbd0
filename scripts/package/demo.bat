@echo off
rem For a double click: trains the demo LoRA on the model that came along; pictures in output\demo.
call "%~dp0lora.bat" demo --out output/demo

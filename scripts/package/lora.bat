@echo off
rem For a double click: trains with settings.toml of this folder, or with what is dropped onto this
rem file (.toml, or the train.ps1 of another package); shows what a dropped .safetensors file is.
rem The window stays open.
setlocal
"%SystemRoot%\System32\chcp.com" 65001 >nul 2>nul
cd /d "%~dp0"
if "%~1"=="" (
    "%~dp0lora.exe" train --config_file settings.toml
) else if /i "%~x1"==".toml" (
    "%~dp0lora.exe" train --config_file "%~1"
) else if /i "%~x1"==".ps1" (
    "%~dp0lora.exe" train --from "%~1"
) else if /i "%~x1"==".safetensors" (
    "%~dp0lora.exe" inspect "%~1"
) else (
    "%~dp0lora.exe" %*
)
set code=%errorlevel%
echo.
if "%code%"=="0" (echo finished  完成) else (echo failed, code %code%  失敗,代碼 %code%)
pause
exit /b %code%

@echo off
rem For a double click: trains with settings.toml of this folder. Onto this file can be dropped
rem - a folder that holds folders of pictures: it is checked, and trained where no error is found, with
rem   settings.toml but that folder's pictures and name,
rem - another settings file (.toml, or the train.ps1 of another package): it is trained,
rem - a LoRA (.safetensors): what it is is shown.
rem With other words the same as lora.exe. The window stays open.
setlocal
"%SystemRoot%\System32\chcp.com" 65001 >nul 2>nul
cd /d "%~dp0"
if "%~1"=="" goto settings
if exist "%~1\*" goto folder
if /i "%~x1"==".toml" goto toml
if /i "%~x1"==".ps1" goto foreign
if /i "%~x1"==".safetensors" goto inspect
"%~dp0lora.exe" %*
goto end

:settings
"%~dp0lora.exe" train --config_file settings.toml
goto end

:folder
rem A last backslash (a whole drive) would take the quote behind it along.
set "pictures=%~f1"
if "%pictures:~-1%"=="\" set "pictures=%pictures%."
"%~dp0lora.exe" data check "%pictures%"
if errorlevel 1 (
    set code=%errorlevel%
    echo.
    echo nothing was trained: mend the errors above and drop the folder again
    echo 沒有開始訓練:請先修正上面的錯誤,再把資料夾拖進來
    goto told
)
"%~dp0lora.exe" train --config_file settings.toml --train_data_dir "%pictures%" --output_name "%~nx1"
goto end

:toml
"%~dp0lora.exe" train --config_file "%~1"
goto end

:foreign
"%~dp0lora.exe" train --from "%~1"
goto end

:inspect
"%~dp0lora.exe" inspect "%~1"

:end
set code=%errorlevel%
:told
echo.
if "%code%"=="0" (echo finished  完成) else (echo failed, code %code%  失敗,代碼 %code%)
pause
exit /b %code%

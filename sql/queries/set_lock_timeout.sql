-- A statement that waits for a long reader makes others wait behind it: give up soon.
set lock_timeout = '5s';

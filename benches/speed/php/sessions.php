<?php
// The cycle of benches/speed in PHP's own session module with its `files` handler: session_start, 3 keys read, a counter
// set, session_write_close. No cookie is sent and none built.
//
//     php sessions.php DIRECTORY SESSIONS JSON
//
// Makes the sessions and says "ready". Then it reads milliseconds, a line each time, and answers nanoseconds a cycle.
error_reporting(E_ALL);
set_error_handler(function ($level, $message) {
    throw new ErrorException($message);
});

[, $directory, $sessions, $json] = $argv;
ini_set('session.save_handler', 'files');
ini_set('session.save_path', $directory);
ini_set('session.serialize_handler', 'php');
ini_set('session.use_cookies', '0');
ini_set('session.use_only_cookies', '0');
ini_set('session.use_strict_mode', '0');
ini_set('session.cache_limiter', '');
ini_set('session.gc_probability', '0');

$ids = [];
for ($n = 0; $n < $sessions; $n++) {
    $ids[] = $id = bin2hex(random_bytes(16));
    session_id($id);
    session_start();
    $_SESSION = json_decode($json, true);
    session_write_close();
}
$count = 1000000;
fwrite(STDOUT, "ready\n");
while (($line = fgets(STDIN)) !== false) {
    $end = hrtime(true) + 1000000 * (int) $line;
    $slices = [];
    // The median of slices of about half a millisecond, as in measure.rs.
    do {
        $start = hrtime(true);
        for ($n = 0; $n < 64; $n++) {
            session_id($ids[mt_rand(0, $sessions - 1)]);
            session_start();
            $read = [$_SESSION['user'], $_SESSION['locale'], $_SESSION['name']];
            $_SESSION['count'] = ++$count;
            session_write_close();
        }
        $now = hrtime(true);
        $slices[] = ($now - $start) / 64;
    } while ($now < $end);
    sort($slices);
    fwrite(STDOUT, $slices[intdiv(count($slices), 2)] . "\n");
}

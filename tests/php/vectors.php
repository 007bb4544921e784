<?php
// Runs one file of tests/vectors over one driver, through PHP's FFI: proof that include/holdall.h alone is enough for a language.
//
//     php -d ffi.enable=1 vectors.php --driver memory|file|cookie --dir SCRATCH FILE.json
//
// The grammar is in tests/vectors/README.md, the model is tests/vectors.rs. It prints TAP, a line for each vector, and below one
// that failed the step, what was expected and what came. It exits 1 if one failed, and bails out with 2 where the file asks for
// something this runner does not know. The library is searched in HOLDALL_LIB_DIR, else in target/release.
declare(strict_types=1);

const BEGINNING_MS = 1700000000000;
const ROOT = __DIR__ . '/../..';
// For tests; not a secret.
const KEY = '7hT8wC5Zf1m0u9Jq2rXyKdLpBvN4sGaE6oQiRkWzMxc';

set_exception_handler(function (Throwable $bug): never {
    echo "Bail out! {$bug->getMessage()}, line {$bug->getLine()}\n";
    exit(2);
});
// PHP only warns of a missing argument. Here it must not pass for a step that fails.
set_error_handler(function (int $level, string $what, string $file, int $line): never {
    throw new ErrorException($what, 0, $level, $file, $line);
});

// A status that is no answer.
final class Refused extends Exception
{
}

// The interface: calls and constants by their names without the prefix.
final class Holdall
{
    public readonly FFI $c;
    private string $header;

    public function __construct()
    {
        $this->header = file_get_contents(ROOT . '/include/holdall.h');
        // PHP's parser has no preprocessor: -E resolves the #includes, -P leaves out the line marks. Of what remains nothing
        // needs to be stripped, but PHP takes _Bool, which <stdbool.h> makes of bool, for uint8_t; it knows bool by itself.
        // The #defines are gone, so constant() reads them from the header.
        $declarations = shell_exec('gcc -E -P ' . escapeshellarg(ROOT . '/include/holdall.h'));
        $declarations = preg_replace('/\b_Bool\b/', 'bool', $declarations);
        $this->c = FFI::cdef($declarations, (getenv('HOLDALL_LIB_DIR') ?: ROOT . '/target/release') . '/libholdall.so');
    }

    public function constant(string $name): int
    {
        return preg_match('/^#define HOLDALL_' . strtoupper($name) . ' (-?\d+)$/m', $this->header, $found)
            ? (int) $found[1] : throw new Exception("no such constant: $name");
    }

    // The name of the constant that begins with the prefix and has the number.
    public function name(string $prefix, int $number): string
    {
        return preg_match("/^#define HOLDALL_{$prefix}_(\w+) $number$/m", $this->header, $found)
            ? strtolower($found[1]) : throw new Exception("no such $prefix: $number");
    }

    // Makes a call. The last parameter is an output of the C type, which is answered; null where a text was not found.
    public function call(string $name, array $inputs, ?string $output = null): mixed
    {
        $out = $output ? $this->c->new($output) : null;
        $status = $this->c->{"holdall_$name"}(...$inputs, ...($out === null ? [] : [FFI::addr($out)]));
        $is_text = $output === 'holdall_slice' || $output === 'holdall_buf';
        if ($is_text && $status === $this->constant('NOT_FOUND')) {
            return null;
        }
        if ($status !== $this->constant('OK')) {
            throw new Refused($this->c->holdall_status_name($status));
        }
        if ($is_text) {
            $text = self::text($out);
            if ($output === 'holdall_buf') {
                $this->c->holdall_buf_free(FFI::addr($out));
            }
            return $text;
        }
        return $output === 'bool' || $output === 'int64_t' ? $out->cdata : $out;
    }

    public static function text(FFI\CData $slice): string
    {
        return $slice->len ? FFI::string($slice->data, $slice->len) : '';
    }

    // A list of keys as pointer and count. The third element holds the bytes; it must live as long as the other two are used.
    public function keys(array $keys): array
    {
        $slices = $this->c->new('holdall_slice[' . (count($keys) + 1) . ']');
        $bytes = [];
        foreach ($keys as $i => $key) {
            $bytes[$i] = $this->c->new('char[' . (strlen($key) + 1) . ']');
            FFI::memcpy($bytes[$i], $key, strlen($key));
            $slices[$i]->data = FFI::addr($bytes[$i][0]);
            $slices[$i]->len = strlen($key);
        }
        return [$slices, count($keys), $bytes];
    }
}

// One vector's run.
final class World
{
    private FFI\CData $manager;
    private int $now_ms = BEGINNING_MS;
    private array $sessions = [];
    private array $visitor_of = [];
    private array $headers = [];
    private array $conflicts = [];
    // The one cookie of each browser, as `name=value`.
    private array $visitors = [];
    private array $kept = [];

    public function __construct(private Holdall $holdall, string $config)
    {
        $this->manager = $holdall->call('manager_new', [$config, strlen($config)], 'holdall_manager *');
    }

    public function __destruct()
    {
        array_map($this->free(...), array_keys($this->sessions));
        if (isset($this->manager)) {
            $this->holdall->c->holdall_manager_free($this->manager);
        }
    }

    // The first capability that the driver has not, or null.
    public function lacks(array $needs): ?string
    {
        $stats = json_decode($this->holdall->call('manager_stats', [$this->manager], 'holdall_buf'), flags: JSON_THROW_ON_ERROR);
        $capabilities = $stats->drivers->main->capabilities;
        $has = fn($need) => ($capabilities->{ltrim($need, '!')} ?? false) === ($need[0] !== '!');
        return array_values(array_filter($needs, fn($need) => !$has($need)))[0] ?? null;
    }

    // Null where the step did what it should, else what is wrong.
    public function step(array $step): ?string
    {
        [$mark, $end] = count($step) > 2 ? array_slice($step, -2) : [null, null];
        if ($mark === '=>' || (in_array($mark, ['!', '->'], true) && is_string($end))) {
            $step = array_slice($step, 0, -2);
        } else {
            $mark = null;
        }
        // The longest name wins: strtr() does so.
        [$operation, $expected, $arguments] = [
            $step[0],
            is_string($end) ? strtr($end, $this->kept) : $end,
            array_map(fn($each) => is_string($each) ? strtr($each, $this->kept) : $each, array_slice($step, 1)),
        ];
        $wanted = $mark ? ['=>' => '', '!' => 'the error ', '->' => 'text to keep as '][$mark] . shown($expected) : 'no error';
        try {
            $answer = $this->perform($operation, $arguments);
        } catch (Refused $refused) {
            $message = Holdall::text($this->holdall->c->holdall_last_error_message());
            $right = $mark === '!' && $refused->getMessage() === $expected;
            return $right ? null : "expected $wanted, got {$refused->getMessage()}: $message";
        }
        if ($mark === '->' && is_string($answer)) {
            $this->kept["\$$end"] = $answer;
            return null;
        }
        $right = $mark === null || ($mark === '=>' && $answer === $expected);
        return $right ? null : "expected $wanted, got " . shown($answer);
    }

    private function perform(string $operation, array $arguments): mixed
    {
        switch ($operation) {
            case 'at':
                $this->now_ms = BEGINNING_MS + $arguments[0];
                return null;
            case 'sweep':
                $inputs = [$this->manager, $arguments[0], $this->now_ms];
                return $this->holdall->call('manager_sweep_at', $inputs, 'holdall_swept')->removed;
            case 'records':
                $count = 0;
                $visit = function () use (&$count): bool {
                    $count++;
                    return true;
                };
                $this->holdall->call('manager_iterate_at', [$this->manager, $this->now_ms, $visit, null]);
                return $count;
            case 'open':
            case 'open_header':
            case 'open_token':
            case 'open_keyed':
                return $this->open($operation, ...$arguments);
            case 'free':
                return $this->free($arguments[0]);
            case 'commit':
                return $this->commit(...$arguments);
        }
        $name = array_shift($arguments);
        $line = $this->set_cookie($name);
        return match ($operation) {
            'cookie' => match (true) {
                $line === null => 'none',
                str_contains($line, '; Max-Age=0') => 'removed',
                default => 'set',
            },
            'max_age' => preg_match('/; Max-Age=(\d+)/', $line ?? '', $found) ? (int) $found[1] : null,
            'attributes' => $line === null ? null : explode('; ', $line, 2)[1],
            'headers' => array_column($this->headers[$name], 0),
            'conflicts' => $this->conflicts[$name],
            default => $this->call($this->sessions[$name], $operation, $arguments),
        };
    }

    // The operations that are one call on the session, by the form of the call.
    private function call(FFI\CData $session, string $operation, array $arguments): mixed
    {
        $call = fn(array $inputs, ?string $output = null, string $suffix = '') =>
            $this->holdall->call("session_$operation$suffix", [$session, ...$inputs], $output);
        $text = fn(string ...$texts) => array_merge(...array_map(fn($text) => [$text, strlen($text)], $texts));
        switch ($operation) {
            case 'flush': case 'reflash': case 'regenerate': case 'invalidate': case 'touch': case 'regenerate_csrf_token':
                return $call([]);
            case 'reset': case 'set_persistent': case 'set_idle_timeout': case 'set_absolute_timeout':
                return $call([$arguments[0]]);
            case 'destroy':
                return $call([$this->now_ms], suffix: '_at');
            case 'flash_input': case 'set_previous_url':
                return $call($text($arguments[0]));
            case 'delete': case 'keep':
                [$keys, $count, $bytes] = $this->holdall->keys($arguments[0]);
                return $call([$keys, $count]);
            case 'only': case 'except':
                [$keys, $count, $bytes] = $this->holdall->keys($arguments[0]);
                return $call([$keys, $count], 'holdall_buf');
            case 'set': case 'push': case 'replace': case 'flash': case 'flash_now':
                return $call($text($arguments[0], $arguments[1]), suffix: '_json');
            case 'remember':
                return $call($text($arguments[0], $arguments[1]), 'holdall_buf', '_json');
            case 'increment': case 'decrement':
                return $call([...$text($arguments[0]), $arguments[1]], 'int64_t');
            case 'is_new':
                return $call([], 'bool');
            case 'has': case 'exists': case 'missing': case 'csrf_matches':
                return $call($text($arguments[0]), 'bool');
            case 'id':
                return $call([], 'holdall_slice');
            case 'get': case 'data':
                return $call($text($arguments[0]), 'holdall_slice', '_json');
            case 'old':
                return $call($text($arguments[0]), 'holdall_slice');
            case 'all': case 'previous_url': case 'csrf_token':
                return $call([], 'holdall_buf');
            case 'pull':
                return $call($text($arguments[0]), 'holdall_buf', '_json');
        }
        throw new Exception("no such operation: $operation");
    }

    private function open(string $how, string $name, string $from, ?stdClass $given = null): mixed
    {
        $options = $this->holdall->c->new('holdall_open_options');
        $options->size = FFI::sizeof($options);
        $options->flags = $this->holdall->constant('AT');
        $options->now_ms = $this->now_ms;
        foreach ($given ?? [] as $field => $value) {
            match ($field) {
                'mode', 'flash' => $options->$field = $this->holdall->constant("{$field}_$value"),
                'lock_timeout_ms' => $options->$field = $value,
                'secure' => $options->flags |= $value ? $this->holdall->constant('REQUEST_IS_SECURE') : 0,
            };
            $options->flags |= $field === 'lock_timeout_ms' ? $this->holdall->constant('LOCK_TIMEOUT') : 0;
        }
        $visitor = $how === 'open' ? $from : null;
        $bytes = $visitor === null ? $from : implode('; ', $this->visitors[$visitor] ?? []);
        $call = 'manager_' . ($how === 'open_header' ? 'open' : $how);
        $inputs = [$this->manager, $bytes, strlen($bytes), FFI::addr($options)];
        $session = $this->holdall->call($call, $inputs, 'holdall_session *');
        $this->free($name);
        $this->sessions[$name] = $session;
        $this->visitor_of[$name] = $visitor;
        $this->headers[$name] = $this->conflicts[$name] = [];
        return null;
    }

    private function free(string|int $name): mixed
    {
        $this->holdall->c->holdall_session_free($this->sessions[$name] ?? null);
        unset($this->sessions[$name], $this->headers[$name], $this->conflicts[$name]);
        return null;
    }

    private function commit(string $name, ?stdClass $given = null): string
    {
        $c = $this->holdall->c;
        $options = $c->new('holdall_commit_options');
        $options->size = FFI::sizeof($options);
        $options->flags = $this->holdall->constant('AT');
        $options->now_ms = $this->now_ms;
        if (isset($given->age_flash)) {
            $options->flags |= $this->holdall->constant($given->age_flash ? 'AGE_FLASH' : 'KEEP_FLASH');
        }
        // Not call(): a commit has four statuses that are answers.
        $commit = $c->new('holdall_commit *');
        $status = $c->holdall_session_commit($this->sessions[$name], FFI::addr($options), FFI::addr($commit));
        if ($status < 0) {
            throw new Refused($c->holdall_status_name($status));
        }
        [$one, $two, $reason] = [$c->new('holdall_slice'), $c->new('holdall_slice'), $c->new('int32_t')];
        $this->headers[$name] = $this->conflicts[$name] = [];
        for ($i = 0; $c->holdall_commit_header($commit, $i, FFI::addr($one), FFI::addr($two)) === 0; $i++) {
            $this->headers[$name][] = [Holdall::text($one), Holdall::text($two)];
        }
        for ($i = 0; $c->holdall_commit_conflict($commit, $i, FFI::addr($one), FFI::addr($reason)) === 0; $i++) {
            $this->conflicts[$name][] = [Holdall::text($one), $this->holdall->name('CONFLICT', $reason->cdata)];
        }
        $c->holdall_commit_free($commit);

        foreach ($this->visitor_of[$name] === null ? [] : $this->set_cookies($name) as $line) {
            $cookies = &$this->visitors[$this->visitor_of[$name]];
            $cookies[strstr($line, '=', true)] = strstr($line, ';', true);
            if (str_contains($line, '; Max-Age=0')) {
                unset($cookies[strstr($line, '=', true)]);
            }
        }
        return $status === $this->holdall->constant('OK') ? 'saved' : $c->holdall_status_name($status);
    }

    // The lines by which the last commit set cookies.
    private function set_cookies(string $name): array
    {
        return array_column(array_filter($this->headers[$name], fn($header) => $header[0] === 'Set-Cookie'), 1);
    }

    // The first of them, or null.
    private function set_cookie(string $name): ?string
    {
        return $this->set_cookies($name)[0] ?? null;
    }
}

function shown(mixed $value): string
{
    return json_encode($value, JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR);
}

// The line below a vector that failed; null where it passed; `# SKIP` and why where the driver cannot.
function run(Holdall $holdall, stdClass $vector, string $driver, string $scratch): ?string
{
    $options = ['type' => $driver];
    if ($driver === 'file') {
        $path = "$scratch/" . bin2hex(random_bytes(8));
        mkdir($path);
        $options['path'] = "$path/sessions";
    }
    $config = ['default' => 'main', 'drivers' => ['main' => $options], 'keys' => [KEY]];
    $config = shown([...$config, ...(array) ($vector->config ?? [])]);
    try {
        $world = new World($holdall, $config);
    } catch (Refused $refused) {
        return "# config $config: {$refused->getMessage()}: " . Holdall::text($holdall->c->holdall_last_error_message());
    }
    $lack = $world->lacks($vector->needs ?? []);
    if ($lack !== null) {
        return "# SKIP $lack";
    }
    foreach ($vector->steps as $index => $step) {
        $why = $world->step($step);
        if ($why !== null) {
            return "# step $index " . shown($step) . ": $why";
        }
    }
    return null;
}

$given = [];
for ($i = 1; $i < $argc; $i++) {
    $given[str_starts_with($argv[$i], '--') ? $argv[$i++] : 'file'] = $argv[$i];
}
$file = json_decode(file_get_contents($given['file']), flags: JSON_THROW_ON_ERROR);
is_string($file->source) || throw new Exception("{$given['file']} names no source");
$holdall = new Holdall();
echo '1..', count($file->vectors), "\n";
$failed = false;
foreach ($file->vectors as $index => $vector) {
    $title = "{$given['--driver']}: " . basename($given['file'], '.json') . ": $vector->name";
    $below = run($holdall, $vector, $given['--driver'], $given['--dir']);
    $skipped = str_starts_with($below ?? '', '# SKIP ');
    $passed = $below === null || $skipped;
    $failed = $failed || !$passed;
    echo $passed ? 'ok ' : 'not ok ', $index + 1, " - $title", $skipped ? " $below\n" : ($passed ? "\n" : "\n$below\n");
}
exit($failed ? 1 : 0);

;; A component of world twin:copilot/advisor@0.1.0 round a few lines of core WebAssembly.
;; `python -m plugins.wasmtime_wat` puts the author's lines in place of @BODY.
;;
;; Memory: 0-15 the descriptor, 16-31 the answer of `propose` (all zero means fine), 32-95 name and
;; version, 256-4095 free for the author's data, from 8192 on the heap.
(component
  (type $types-type (instance
    (type $severity0 (enum "debug" "info" "warn" "error"))
    (export "severity" (type (eq $severity0)))
    (type $code0 (enum "denied" "not-found" "invalid" "quota" "declined"))
    (export "code" (type $code (eq $code0)))
    (type $fault0 (record (field "code" $code) (field "message" string)))
    (export "fault" (type (eq $fault0)))
    (type $descriptor0 (record (field "name" string) (field "version" string)))
    (export "descriptor" (type (eq $descriptor0)))
    (type $seconds0 f64)
    (export "seconds" (type $seconds (eq $seconds0)))
    (type $context0 (record (field "site" string) (field "run" string) (field "now" $seconds)
      (field "step" $seconds) (field "steps" u32) (field "seed" u32)))
    (export "context" (type (eq $context0)))))
  (import "twin:copilot/types@0.1.0" (instance $types (type $types-type)))
  (alias export $types "severity" (type $severity))
  (alias export $types "fault" (type $fault))
  (alias export $types "descriptor" (type $descriptor))
  (alias export $types "context" (type $context))

  (import "twin:copilot/log@0.1.0" (instance $log
    (alias outer 1 $severity (type $severity0))
    (export "severity" (type $level (eq $severity0)))
    (export "emit" (func (param "level" $level) (param "message" string)))))
  (import "twin:copilot/clock@0.1.0" (instance $clock (export "now" (func (result f64)))))
  (import "twin:copilot/telemetry@0.1.0" (instance $telemetry
    (alias outer 1 $fault (type $fault0))
    (export "fault" (type $f (eq $fault0)))
    (export "latest" (func (param "point" string) (result (result f64 (error $f)))))
    (export "forecast" (func (param "point" string) (result (result (list f64) (error $f)))))
    (export "history" (func (param "point" string) (result (result (list f64) (error $f)))))))
  (import "twin:copilot/submit@0.1.0" (instance $submit
    (alias outer 1 $fault (type $fault0))
    (export "fault" (type $f (eq $fault0)))
    (export "setpoints" (func (param "point" string) (param "unit" string)
      (param "values" (list f64)) (result (result (error $f)))))
    (export "proposal" (func (param "rationale" string) (param "confidence" f64)
      (result (result (error $f)))))))

  (core module $libc
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 8192))
    (func (export "realloc") (param $old i32) (param $had i32) (param $align i32) (param $size i32)
      (result i32) (local $start i32) (local $short i32)
      (local.set $start (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
      (global.set $top (i32.add (local.get $start) (local.get $size)))
      (local.set $short (i32.sub (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
      (if (i32.gt_s (local.get $short) (i32.const 0))
        (then (if (i32.eq (i32.const -1) (memory.grow
            (i32.shr_u (i32.add (local.get $short) (i32.const 65535)) (i32.const 16))))
          (then unreachable))))
      (local.get $start)))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))

  (core func $emit (canon lower (func $log "emit") (memory $memory)))
  (core func $now (canon lower (func $clock "now")))
  (core func $latest
    (canon lower (func $telemetry "latest") (memory $memory) (realloc $realloc)))
  (core func $forecast
    (canon lower (func $telemetry "forecast") (memory $memory) (realloc $realloc)))
  (core func $history
    (canon lower (func $telemetry "history") (memory $memory) (realloc $realloc)))
  (core func $setpoints
    (canon lower (func $submit "setpoints") (memory $memory) (realloc $realloc)))
  (core func $proposal
    (canon lower (func $submit "proposal") (memory $memory) (realloc $realloc)))

  (core module $main
    (import "libc" "memory" (memory 1))
    (import "libc" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (import "host" "emit" (func $emit (param i32 i32 i32)))
    (import "host" "now" (func $now (result f64)))
    (import "host" "latest" (func $latest (param i32 i32 i32)))
    (import "host" "forecast" (func $forecast (param i32 i32 i32)))
    (import "host" "history" (func $history (param i32 i32 i32)))
    (import "host" "setpoints" (func $setpoints (param i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "proposal" (func $proposal (param i32 i32 f64 i32)))
    (data (i32.const 0) "\20\00\00\00@NAME_LENGTH\00\00\00\50\00\00\00@VERSION_LENGTH\00\00\00")
    (data (i32.const 32) "@NAME")
    (data (i32.const 80) "@VERSION")
    ;; a column of `count` equal values on the heap
    (func $column (param $value f64) (param $count i32) (result i32)
      (local $start i32) (local $k i32)
      (local.set $start (call $realloc (i32.const 0) (i32.const 0) (i32.const 8)
        (i32.mul (local.get $count) (i32.const 8))))
      (block $done (loop $next
        (br_if $done (i32.eq (local.get $k) (local.get $count)))
        (f64.store (i32.add (local.get $start) (i32.mul (local.get $k) (i32.const 8)))
          (local.get $value))
        (local.set $k (i32.add (local.get $k) (i32.const 1)))
        (br $next)))
      (local.get $start))
    (func (export "describe") (result i32) (i32.const 0))
    (func (export "propose") (param $site i32) (param $site_length i32) (param $run i32)
      (param $run_length i32) (param $now_s f64) (param $step_s f64) (param $steps i32)
      (param $seed i32) (result i32)
      (call $advise (local.get $steps))
      (i32.const 16))
    @BODY)
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance
      (export "emit" (func $emit)) (export "now" (func $now)) (export "latest" (func $latest))
      (export "forecast" (func $forecast)) (export "history" (func $history))
      (export "setpoints" (func $setpoints)) (export "proposal" (func $proposal))))))

  (func $describe (result $descriptor) (canon lift (core func $main "describe") (memory $memory)))
  (func $propose (param "ctx" $context) (result (result (error $fault)))
    (canon lift (core func $main "propose") (memory $memory) (realloc $realloc)))
  (instance $plugin
    (export "descriptor" (type $descriptor)) (export "context" (type $context))
    (export "fault" (type $fault))
    (export "describe" (func $describe)) (export "propose" (func $propose)))
  (export "twin:copilot/plugin@0.1.0" (instance $plugin)))

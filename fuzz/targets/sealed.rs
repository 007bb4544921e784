#![cfg_attr(fuzzing, no_main)]

holdall_fuzz::target!(sealed);

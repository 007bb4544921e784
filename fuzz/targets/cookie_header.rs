#![cfg_attr(fuzzing, no_main)]

holdall_fuzz::target!(cookie_header);

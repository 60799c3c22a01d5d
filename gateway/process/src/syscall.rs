//! Numbers of the system calls that a filter names, per architecture. Says nothing about what is allowed.

#[cfg(target_arch = "x86_64")]
pub mod number {
    //! System call numbers of x86-64 (`arch/x86/entry/syscalls/syscall_64.tbl`).
    pub const READ: i64 = 0;
    pub const WRITE: i64 = 1;
    pub const CLOSE: i64 = 3;
    pub const POLL: i64 = 7;
    pub const MMAP: i64 = 9;
    pub const MPROTECT: i64 = 10;
    pub const MUNMAP: i64 = 11;
    pub const BRK: i64 = 12;
    pub const RT_SIGPROCMASK: i64 = 14;
    pub const RT_SIGRETURN: i64 = 15;
    pub const WRITEV: i64 = 20;
    pub const SCHED_YIELD: i64 = 24;
    pub const MREMAP: i64 = 25;
    pub const MADVISE: i64 = 28;
    pub const NANOSLEEP: i64 = 35;
    pub const SENDTO: i64 = 44;
    pub const RECVFROM: i64 = 45;
    pub const SENDMSG: i64 = 46;
    pub const RECVMSG: i64 = 47;
    pub const SHUTDOWN: i64 = 48;
    pub const EXIT: i64 = 60;
    pub const SIGALTSTACK: i64 = 131;
    pub const GETTID: i64 = 186;
    pub const FUTEX: i64 = 202;
    pub const SCHED_GETAFFINITY: i64 = 204;
    pub const RESTART_SYSCALL: i64 = 219;
    pub const CLOCK_GETTIME: i64 = 228;
    pub const CLOCK_NANOSLEEP: i64 = 230;
    pub const EXIT_GROUP: i64 = 231;
    pub const EPOLL_WAIT: i64 = 232;
    pub const PPOLL: i64 = 271;
    pub const EPOLL_PWAIT: i64 = 281;
    pub const GETRANDOM: i64 = 318;
    pub const RSEQ: i64 = 334;
    pub const SOCKET: i64 = 41;
    pub const CONNECT: i64 = 42;
    pub const BIND: i64 = 49;
    pub const PTRACE: i64 = 101;
    pub const PROCESS_VM_READV: i64 = 310;
    pub const PROCESS_VM_WRITEV: i64 = 311;
    pub const IO_URING_SETUP: i64 = 425;
}

#[cfg(target_arch = "aarch64")]
pub mod number {
    //! System call numbers of aarch64 (`include/uapi/asm-generic/unistd.h`); calls it lacks repeat a near one.
    pub const READ: i64 = 63;
    pub const WRITE: i64 = 64;
    pub const CLOSE: i64 = 57;
    pub const POLL: i64 = 73;
    pub const MMAP: i64 = 222;
    pub const MPROTECT: i64 = 226;
    pub const MUNMAP: i64 = 215;
    pub const BRK: i64 = 214;
    pub const RT_SIGPROCMASK: i64 = 135;
    pub const RT_SIGRETURN: i64 = 139;
    pub const WRITEV: i64 = 66;
    pub const SCHED_YIELD: i64 = 124;
    pub const MREMAP: i64 = 216;
    pub const MADVISE: i64 = 233;
    pub const NANOSLEEP: i64 = 101;
    pub const SENDTO: i64 = 206;
    pub const RECVFROM: i64 = 207;
    pub const SENDMSG: i64 = 211;
    pub const RECVMSG: i64 = 212;
    pub const SHUTDOWN: i64 = 210;
    pub const EXIT: i64 = 93;
    pub const SIGALTSTACK: i64 = 132;
    pub const GETTID: i64 = 178;
    pub const FUTEX: i64 = 98;
    pub const SCHED_GETAFFINITY: i64 = 123;
    pub const RESTART_SYSCALL: i64 = 128;
    pub const CLOCK_GETTIME: i64 = 113;
    pub const CLOCK_NANOSLEEP: i64 = 115;
    pub const EXIT_GROUP: i64 = 94;
    pub const EPOLL_WAIT: i64 = 22;
    pub const PPOLL: i64 = 73;
    pub const EPOLL_PWAIT: i64 = 22;
    pub const GETRANDOM: i64 = 278;
    pub const RSEQ: i64 = 293;
    pub const SOCKET: i64 = 198;
    pub const CONNECT: i64 = 203;
    pub const BIND: i64 = 200;
    pub const PTRACE: i64 = 117;
    pub const PROCESS_VM_READV: i64 = 270;
    pub const PROCESS_VM_WRITEV: i64 = 271;
    pub const IO_URING_SETUP: i64 = 425;
}

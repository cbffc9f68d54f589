//! One thread of a gateway made to stand still while all others go on, as if it hung (ptrace(2)).

// The standard library cannot stop a thread of another process.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::ptr::null_mut;

use super::running::Running;

/// A thread that stands still until this value is dropped, on the thread that made it.
pub(super) struct Frozen {
    thread: libc::pid_t,
    /// The kernel takes requests from the thread alone that made the first one.
    _here: PhantomData<*const ()>,
}

impl Frozen {
    /// Lets the thread of that name stand still.
    #[track_caller]
    pub(super) fn thread(running: &Running, name: &str) -> Self {
        let tasks = fs::read_dir(format!("/proc/{}/task", running.pid())).expect("the process runs");
        let is_it = |task: &fs::DirEntry| {
            let comm = fs::read_to_string(task.path().join("comm"));
            comm.is_ok_and(|comm| comm.trim_end() == name)
        };
        let task = tasks.flatten().find(is_it).unwrap_or_else(|| panic!("there is no thread {name}"));
        let thread = task.file_name().to_string_lossy().parse().expect("a number");
        let frozen = Self { thread, _here: PhantomData };
        frozen.ask(libc::PTRACE_SEIZE);
        frozen.ask(libc::PTRACE_INTERRUPT);
        // SAFETY: the call is given the number of a thread and writes nothing, since the pointer is null.
        let waited = unsafe { libc::waitpid(thread, null_mut(), libc::__WALL) };
        assert_eq!(waited, thread, "{}", io::Error::last_os_error());
        frozen
    }

    #[track_caller]
    fn ask(&self, request: libc::c_uint) {
        let nothing = null_mut::<libc::c_void>();
        // SAFETY: the requests that are made neither read nor write memory of this process.
        let asked = unsafe { libc::ptrace(request, self.thread, nothing, nothing) };
        assert_eq!(asked, 0, "{}", io::Error::last_os_error());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let nothing = null_mut::<libc::c_void>();
        // SAFETY: as above. The thread may have ended with its process, which is no matter of this test.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.thread, nothing, nothing) };
    }
}

//! The allocator of guests: a bump allocator over a fixed memory, after the data and the stack. It
//! never grows the memory and frees only the last piece. A sandbox lives for one call and is then
//! dropped with its memory.
//!
//! A memory that grows makes a new sandbox slow: each growth, and each reset after it, changes page
//! protections for every thread of the host. If the memory is used up, an allocation fails and
//! traps the guest. The host records the trap and denies the call.

/// Places a piece of `size` bytes, where `next` is the first free address and `end` the first
/// address after the memory. Returns the address of the piece and the next free address, or `None`
/// if it does not fit. `align` is a power of two, as every `Layout` guarantees.
fn place(next: usize, end: usize, size: usize, align: usize) -> Option<(usize, usize)> {
    let start = next.checked_add(align - 1)? & !(align - 1);
    let after = start.checked_add(size)?;
    (after <= end).then_some((start, after))
}

#[cfg(target_arch = "wasm32")]
#[expect(
    unsafe_code,
    reason = "a global allocator is an unsafe trait over raw addresses; guests have one thread \
              and one memory"
)]
mod guest {
    use super::place;
    use std::alloc::{GlobalAlloc, Layout};
    use std::arch::wasm32::memory_size;
    use std::cell::Cell;
    use std::ptr::{copy_nonoverlapping, null_mut};

    /// Bytes in one page of Wasm memory (core specification, "Memory Instances").
    const PAGE: usize = 65_536;

    unsafe extern "C" {
        /// The first address after stack and data, set by the linker. Its value has no meaning.
        static __heap_base: u8;
    }

    /// The allocator, with the first free address, or 0 before the first use.
    struct Bump(Cell<usize>);

    // SAFETY: a guest has exactly one thread, so the cell is never shared between two.
    unsafe impl Sync for Bump {}

    impl Bump {
        fn next(&self) -> usize {
            match self.0.get() {
                0 => &raw const __heap_base as usize,
                next => next,
            }
        }

        fn take(&self, from: usize, size: usize, align: usize) -> *mut u8 {
            match place(from, memory_size::<0>() * PAGE, size, align) {
                Some((start, after)) => {
                    self.0.set(after);
                    start as *mut u8
                }
                None => null_mut(),
            }
        }
    }

    // SAFETY: pieces lie between `__heap_base` and the end of the memory and never overlap, since
    // `next` only falls back to the start of the piece that was handed out last, when that one
    // is given back or moved in place; `place` keeps alignment and bounds.
    unsafe impl GlobalAlloc for Bump {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            self.take(self.next(), layout.size(), layout.align())
        }

        unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
            if piece as usize + layout.size() == self.next() {
                self.0.set(piece as usize);
            }
        }

        unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            if piece as usize + layout.size() == self.next() {
                // The last piece grows and shrinks where it is: strings and lists that are being
                // built cost no copies.
                return self.take(piece as usize, size, layout.align());
            }
            if size <= layout.size() {
                return piece;
            }
            let moved = self.take(self.next(), size, layout.align());
            if !moved.is_null() {
                // SAFETY: the old piece holds `layout.size()` bytes, the new one more, and they do
                // not overlap.
                unsafe { copy_nonoverlapping(piece, moved, layout.size()) };
            }
            moved
        }
    }

    #[global_allocator]
    static MEMORY: Bump = Bump(Cell::new(0));
}

#[cfg(test)]
mod tests {
    use super::place;

    fn check(next: usize, size: usize, align: usize, expect: Option<(usize, usize)>) {
        assert_eq!(
            place(next, 1_024, size, align),
            expect,
            "{size} bytes aligned to {align} at {next}"
        );
    }

    #[test]
    fn pieces_are_aligned_and_never_leave_the_memory() {
        check(8, 3, 1, Some((8, 11)));
        check(11, 8, 8, Some((16, 24)));
        check(1_016, 8, 8, Some((1_016, 1_024)));
        check(1_016, 9, 1, None);
        check(1_017, 8, 8, None);
        check(8, usize::MAX, 1, None);
        check(usize::MAX, 1, 16, None);
    }
}

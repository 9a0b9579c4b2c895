//! The disk through the core's ring: cold work, and durable writes beside it.

use super::*;

/// A server whose disk work runs in `directory` while the core is being made.
async fn exercise_disk(seams: &CoreSeams, directory: std::path::PathBuf) {
    let disk = &seams.disk;
    let inner = directory.join("log-0");
    disk.create_directory(&inner).await.unwrap();
    disk.create_directory(&inner).await.unwrap();
    let path = inner.join("1.segment");
    let file = disk.open(&path, OpenMode::New).await.unwrap();
    assert!(disk.open(&path, OpenMode::New).await.is_err(), "it exists");
    disk.allocate(&file, 65_536).await.unwrap();
    disk.sync(&file).await.unwrap();
    disk.sync_directory(&inner).await.unwrap();
    assert_eq!(disk.size_bytes(&file).await.unwrap(), 65_536);
    assert_eq!(disk.list(&inner).await.unwrap(), ["1.segment"]);
    assert!(disk.free_bytes(&inner).await.unwrap() > 0);
    let written = disk
        .write(&file, 4096, Block::holding(&[5; 4096]).whole())
        .await;
    assert_eq!(written.unwrap(), 4096);
    let (read, block) = disk.read(&file, 4096, Block::for_reading(8192)).await;
    assert_eq!(read.unwrap(), 8192);
    assert_eq!(block.bytes()[..4096], [5; 4096]);
    assert_eq!(block.bytes()[4096..], [0; 4096]);
    disk.punch(&file, 4096, 4096).await.unwrap();
    let (read, block) = disk.read(&file, 4096, Block::for_reading(4096)).await;
    assert_eq!((read.unwrap(), block.bytes()[0]), (4096, 0), "it is gone");
    assert_eq!(disk.size_bytes(&file).await.unwrap(), 65_536);
    disk.pause(Duration::from_millis(1)).await;
    // A future that is dropped in the middle is cancelled in the kernel, and its place is freed.
    let mut dropped = Box::pin(disk.pause(Duration::from_secs(3600)));
    let polled = std::future::poll_fn(|context| Poll::Ready(dropped.as_mut().poll(context))).await;
    assert!(polled.is_pending());
    drop(dropped);
    disk.remove(&path).await.unwrap();
    let missing = disk.open(&path, OpenMode::Existing).await.unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn every_disk_operation_goes_through_the_ring() {
    let directory = tempfile::tempdir_in(".").unwrap();
    let path = directory.path().to_owned();
    let server = Server::with_core(1, config(), async move |seams: &CoreSeams| {
        exercise_disk(seams, path.clone()).await;
    });
    Client::connect(server.address());
}

/// Durable writes out of registered and out of plain memory, while a client is served and a cold task works.
#[test]
fn durable_writes_complete_and_read_back_beside_load_and_cold_work() {
    let directory = tempfile::tempdir_in(".").unwrap();
    let path = directory.path().join("file");
    let in_server = path.clone();
    let server = Server::with_core(1, config(), async move |seams: &CoreSeams| {
        let disk = seams.disk.clone();
        let file = disk.open(&in_server, OpenMode::New).await.unwrap();
        let pool = Pool::new(8192, 16_384);
        disk.register(&pool, 1);
        // One turn passes, in which the loop registers the memory.
        disk.pause(Duration::from_millis(1)).await;
        for (token, place) in (0..2_u8).zip([0, 8192]) {
            let mut block = pool.try_take().unwrap();
            block.append(&[token + 1; 8192]);
            disk.write_durable(&file, place, block.whole(), WriteToken(u64::from(token)));
        }
        let cold = disk.clone();
        disk.spawn(Box::pin(async move {
            loop {
                let (read, _) = cold.read(&file, 0, Block::for_reading(4096)).await;
                if read.is_err() {
                    break;
                }
            }
        }));
    });
    let mut client = Client::connect(server.address());
    for request in 0..1000 {
        client.send(FrameKind::Command, request, b"load");
        assert_eq!(client.answers(1), [(request, 4)]);
    }
    let mut written = [server.event(), server.event()];
    written.sort_by_key(|event| format!("{event:?}"));
    let expected = [0, 1].map(|token| Event::Written(WriteToken(token), 8192));
    assert_eq!(written, expected);
    let bytes = std::fs::read(path).unwrap();
    assert!(bytes[..8192].iter().all(|byte| *byte == 1) && bytes.len() == 16_384);
    assert!(bytes[8192..].iter().all(|byte| *byte == 2));
    let facts = server.executor().shards().facts_of(ShardId::new(0));
    assert!(facts.turns() > 0);
    assert_eq!(
        facts.registered_blocks(),
        1,
        "a block of 8 KiB fits any memory-lock limit"
    );
}

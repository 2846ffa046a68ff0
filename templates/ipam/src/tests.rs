use wasmnet_sdk::{Error, ErrorCode, mock};

use crate::Driver;

#[test]
fn the_lowest_free_address_is_first() -> Result<(), Error> {
    let ipam = mock::Ipam::<Driver>::new();
    let pool = ipam.request_pool(&mock::pool("local").subnet("10.1.0.0/29").done())?.id;
    let next = || ipam.request_address(&pool, None, &[]).map(|net| net.to_string());
    assert_eq!((next()?, next()?), ("10.1.0.1/29".to_owned(), "10.1.0.2/29".to_owned()));
    ipam.release_address(&pool, "10.1.0.1".parse()?)?;
    assert_eq!(next()?, "10.1.0.1/29");
    let wanted = ipam.request_address(&pool, Some("10.1.0.6".parse()?), &[])?;
    assert_eq!(wanted.to_string(), "10.1.0.6/29");
    Ok(())
}

#[test]
fn an_address_is_given_once() -> Result<(), Error> {
    let ipam = mock::Ipam::<Driver>::new();
    let pool = ipam.request_pool(&mock::pool("local").subnet("10.1.0.0/30").done())?.id;
    let request = |address| ipam.request_address(&pool, address, &[]);
    request(Some("10.1.0.1".parse()?))?;
    let code = |refused: Result<_, Error>| refused.map_err(|error| error.code);
    assert_eq!(code(request(Some("10.1.0.1".parse()?))), Err(ErrorCode::Exists));
    assert_eq!(code(request(Some("10.2.0.1".parse()?))), Err(ErrorCode::Invalid));
    request(None)?;
    assert_eq!(code(request(None)), Err(ErrorCode::Exhausted));
    Ok(())
}

#[test]
fn pools_do_not_overlap_and_leave_nothing() -> Result<(), Error> {
    let ipam = mock::Ipam::<Driver>::new();
    let request = |subnet| ipam.request_pool(&mock::pool("local").subnet(subnet).done());
    let pool = request("fd00:1::/64")?.id;
    let refused = request("fd00:1::/48").map_err(|error| error.code);
    assert_eq!(refused, Err(ErrorCode::Exists));
    assert_eq!(ipam.request_address(&pool, None, &[])?.to_string(), "fd00:1::1/64");
    ipam.release_pool(&pool)?;
    ipam.release_pool(&pool)?;
    assert_eq!(ipam.host().keys(), [""; 0]);
    Ok(())
}
